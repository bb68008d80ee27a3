"""The corrections that a fit or a simulated measurement was given, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured, as_measured

__all__ = ["GivenCorrections", "check_corrections"]

FloatArray = NDArray[np.float64]

_PEAKS = ("n6", "n7")
_NONE, _UNITY = Measured(0.0), Measured(1.0)


@dataclass(frozen=True, eq=False)
class GivenCorrections:
    """What stands between the sample and its counts.

    Parameters
    ----------
    pulses
        Primary-ion pulses behind each pixel, (y, x), 0 where nothing was measured;
        None without dead time.
    hydride_ratio, fractionation
        With their standard errors.
    background
        Expected background counts a pixel of the two isotopes, each a scalar array
        or (y, x).
    background_error
        Standard errors of the two (common to all pixels).
    """

    pulses: FloatArray | None = None
    hydride_ratio: Measured = _NONE
    fractionation: Measured = _UNITY
    background: tuple[FloatArray, FloatArray] = (np.zeros(()), np.zeros(()))
    background_error: tuple[Measured, Measured] = (_NONE, _NONE)

    @property
    def errors(self) -> tuple[tuple[str, float], ...]:
        """(name, standard error) of the corrections that are not exact."""
        every = (
            ("hydride_ratio", self.hydride_ratio.error),
            # An error of the factor itself, small as such errors are
            ("ln_fractionation", self.fractionation.error / self.fractionation.value),
            ("background_6", self.background_error[0].error),
            ("background_7", self.background_error[1].error),
        )
        return tuple((name, error) for name, error in every if error > 0)

    @property
    def needs_intensity(self) -> bool:
        """Whether the fraction of the counts depends on how many there are."""
        has_background = any(np.any(b) for b in self.background)
        uncertain = any(m.error > 0 for m in self.background_error)
        return self.pulses is not None or has_background or uncertain

    @property
    def is_identity(self) -> bool:
        """Whether the counts show the fraction of the sample as it is."""
        factors = self.hydride_ratio.value == 0 and self.fractionation.value == 1
        return factors and not self.errors and not self.needs_intensity

    def describe(self) -> dict[str, Any] | None:
        """Return them in JSON-able words; None if there are none."""
        if self.is_identity:
            return None
        record: dict[str, Any] = {
            "pulses_a_pixel": None if self.pulses is None else float(np.median(self.pulses)),
            "hydride_ratio": self.hydride_ratio.describe(),
            "fractionation": self.fractionation.describe(),
            "background": [],
        }
        for values, measured in zip(self.background, self.background_error, strict=True):
            one = {**measured.describe(), "value": float(values.mean())}
            if values.ndim:
                one["source"] = "given for each pixel; value is the mean"
            record["background"].append(one)
        return record


def check_corrections(
    shape: tuple[int, int],
    pulses: ArrayLike | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    background: Sequence[ArrayLike | Measured] = (0.0, 0.0),
) -> GivenCorrections:
    """Check the corrections of a map of that shape.

    Raises
    ------
    ValueError
        If one is out of its range or does not fit to the map.
    """
    if len(background) != 2:
        raise ValueError("background must be two: counts a pixel of n6 and of n7")
    errors = tuple(b if isinstance(b, Measured) else _NONE for b in background)
    values = [
        _background(b.value if isinstance(b, Measured) else b, name, shape)
        for b, name in zip(background, _PEAKS, strict=True)
    ]
    # The ranges of the factors are those of the fraction image.
    scalar = Corrections(
        hydride_ratio=as_measured(hydride_ratio), fractionation=as_measured(fractionation)
    )
    return GivenCorrections(
        pulses=None if pulses is None else _pulses(pulses, shape),
        hydride_ratio=scalar.hydride_ratio,
        fractionation=scalar.fractionation,
        background=(values[0], values[1]),
        background_error=(errors[0], errors[1]),
    )


def _background(values: ArrayLike, name: str, shape: tuple[int, int]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"the background of {name} must be counts a pixel of at least 0")
    if array.size == 1:
        return array.reshape(())
    if array.shape != shape:
        raise ValueError(
            f"the background of {name} has shape {array.shape}, the map {shape}: give one number "
            "or one a pixel"
        )
    return array


def _pulses(pulses: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    array = np.asarray(pulses, dtype=np.float64)
    if array.ndim == 3 and array.shape[0] > 1:
        raise ValueError(
            f"pulses has shape {array.shape}: give the sum over the frames, as that of the counts"
        )
    if array.ndim == 3:
        array = array[0]
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError("pulses must be zero (not measured) or more in every pixel")
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"pulses has shape {array.shape}, the map {shape}") from None
