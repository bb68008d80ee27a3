"""The parameters of a series fit, and the coordinates in which they are searched.

1/D and 1/k, not D and k: a flat grain (1/D = 0) and no barrier (1/k = 0) are then
ends that can be reached. The coordinate a has 1/D = scale (exp(a) - 1): it is
linear near that end, where the data hardly know the parameter, and logarithmic
away from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.series.model import Groups

__all__ = ["FractionRule", "Layout", "build_layout", "expand"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Scale of the coordinates and largest value, in natural units t/d2 and t/d.
_SCALE, _LARGEST = 1e-2, 1e8
#: A fraction that is fitted keeps this far from 0 and 1.
_EDGE = 1e-6
#: Standard errors by which a correction may be off.
_FAR = 6.0


@dataclass(frozen=True)
class FractionRule:
    """How a fraction of source or background enters.

    Parameters
    ----------
    value
        Given fraction.
    error
        Standard error: 0 = exact, inf = fitted without prior knowledge.
    """

    value: float
    error: float = 0.0

    @classmethod
    def of(cls, given: float | Measured | str | None, default: float, name: str) -> FractionRule:
        """Read a keyword: None (the experiment's), a number, a `Measured`, or ``"fit"``."""
        if given is None:
            return cls(default)
        if isinstance(given, str):
            if given != "fit":
                raise ValueError(f'{name} must be a fraction, a Measured or "fit", got {given!r}')
            return cls(default, np.inf)
        value, error = float(given), given.error if isinstance(given, Measured) else 0.0
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")
        return cls(value, error)


@dataclass(frozen=True, eq=False)
class Layout:
    """Which coordinate is what.

    Parameters
    ----------
    names
        Of the parameters, in words: "1/D of grain 2".
    scale
        Of the exponential coordinates, s/m2 or s/m; NaN for the fractions.
    low, high
        Bounds of the coordinates.
    layer_group, face_group
        Coordinate of each layer's 1/D and each face's 1/k; -1 for none.
    fixed_surface
        1/k of the source face where that is no coordinate, s/m.
    source, background
        Given fractions.
    source_column, background_column
        Their coordinates, or -1.
    corrections
        Corrections of the counts that are not exact: the last coordinates, each counted in
        standard errors.
    """

    names: tuple[str, ...]
    scale: FloatArray
    low: FloatArray
    high: FloatArray
    layer_group: IntArray
    face_group: IntArray
    fixed_surface: float
    source: FractionRule
    background: FractionRule
    source_column: int = -1
    background_column: int = -1
    corrections: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.names)

    @property
    def asked(self) -> int:
        """Number of coordinates that are results: all but the corrections."""
        return self.size - len(self.corrections)

    @property
    def natural(self) -> FloatArray:
        """Natural units t/d2 and t/d of 1/D and 1/k; NaN for the fractions."""
        return self.scale / _SCALE

    @property
    def groups(self) -> Groups:
        """For the model's derivatives."""
        return Groups(self.layer_group, self.face_group, self.size)

    def values(self, theta: FloatArray) -> FloatArray:
        """1/D, 1/k and fractions of coordinates (..., size)."""
        linear = np.isnan(self.scale)
        scale = np.where(linear, 1.0, self.scale)
        return np.where(linear, theta, scale * np.expm1(np.where(linear, 0.0, theta)))

    def by_coordinate(self, theta: FloatArray) -> FloatArray:
        """Derivative of `values`."""
        linear = np.isnan(self.scale)
        scale = np.where(linear, 1.0, self.scale)
        return scale * np.exp(np.where(linear, 0.0, theta))

    def coordinates(self, values: FloatArray) -> FloatArray:
        """Coordinates of 1/D, 1/k and fractions, within the bounds."""
        linear = np.isnan(self.scale)
        ratio = np.where(linear, 0.0, values) / np.where(linear, 1.0, self.scale)
        return np.clip(np.where(linear, values, np.log1p(ratio)), self.low, self.high)

    def inverse_d(self, values: FloatArray) -> FloatArray:
        """1/D of each layer, (fits, layers)."""
        return values[:, self.layer_group]

    def resistance(self, values: FloatArray) -> FloatArray:
        """1/k of each face, (fits, layers)."""
        held = np.where(self.face_group < 0, 0.0, values[:, self.face_group])
        if self.face_group[0] < 0:
            held[:, 0] = self.fixed_surface
        return held

    def fractions(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Fraction of source and background of each fit, (fits, 1)."""
        rules = ((self.source_column, self.source), (self.background_column, self.background))
        one, two = (
            values[:, [column]] if column >= 0 else np.full((len(values), 1), rule.value)
            for column, rule in rules
        )
        return one, two

    def prior(self) -> tuple[FloatArray, FloatArray]:
        """Centre and precision of the coordinates' Gaussian priors, (size,)."""
        centre, precision = np.zeros(self.size), np.zeros(self.size)
        for column, rule in (
            (self.source_column, self.source),
            (self.background_column, self.background),
        ):
            if column >= 0:
                centre[column] = rule.value
                precision[column] = 1.0 / rule.error**2
        precision[self.asked :] = 1.0
        return centre, precision


def build_layout(
    thickness: FloatArray,
    duration: float,
    *,
    source: FractionRule,
    background: FractionRule,
    surface: float | None,
    fit_surface: bool = False,
    shared_d: bool = True,
    shared_k: bool = False,
    corrections: tuple[str, ...] = (),
) -> Layout:
    """Number the parameters of a chain.

    Parameters
    ----------
    thickness
        Of the layers, m, all finite: natural lengths of 1/D and 1/k.
    duration
        Effective time of the bulk, s.
    source, background
        Fractions.
    surface
        Exchange coefficient of the source face, m/s; None for a fixed fraction.
    fit_surface
        Whether it is fitted.
    shared_d, shared_k
        One D for all grains, one k for all boundaries.
    corrections
        Names of the corrections of the counts that are not exact.
    """
    layers = thickness.size
    grains = 1 if shared_d else layers
    boundaries = min(1, layers - 1) if shared_k else layers - 1
    length = float(thickness.sum())
    names = ["1/D"] if shared_d else [f"1/D of grain {i + 1}" for i in range(layers)]
    scale = [duration / length**2] if shared_d else list(duration / thickness**2)
    names += ["1/k"] if shared_k and boundaries else [f"1/k {i + 1}" for i in range(boundaries)]
    scale += [duration / float(thickness.mean())] * boundaries
    face_group = np.full(layers, -1)
    face_group[1:] = grains + (np.zeros(layers - 1, int) if shared_k else np.arange(layers - 1))
    if fit_surface:
        face_group[0] = len(names)
        names.append("1/k of the source face")
        scale.append(duration / length)
    columns: list[int] = []
    high = [float(np.log1p(_LARGEST / _SCALE))] * len(names)
    low = [0.0] * len(names)
    scales = [s * _SCALE for s in scale]
    for rule, name in ((source, "source fraction"), (background, "background fraction")):
        columns.append(len(names) if rule.error > 0 else -1)
        if rule.error > 0:
            names.append(name)
            scales.append(np.nan)
            low.append(_EDGE)
            high.append(1 - _EDGE)
    names += [f"correction {name}" for name in corrections]
    spare = len(corrections)
    return Layout(
        names=tuple(names),
        scale=np.array(scales + [np.nan] * spare),
        low=np.array(low + [-_FAR] * spare),
        high=np.array(high + [_FAR] * spare),
        layer_group=np.zeros(layers, int) if shared_d else np.arange(layers),
        face_group=face_group,
        fixed_surface=0.0 if surface is None else 1.0 / surface,
        source=source,
        background=background,
        source_column=columns[0],
        background_column=columns[1],
        corrections=corrections,
    )


def expand(theta: FloatArray, narrow: Layout, wide: Layout) -> FloatArray:
    """Coordinates of a fit with shared D and k as those of one with more parameters."""
    values = narrow.values(theta)
    result = np.empty((theta.shape[0], wide.size))
    for mine, theirs in (
        (wide.layer_group, narrow.layer_group),
        (wide.face_group, narrow.face_group),
    ):
        kept = (mine >= 0) & (theirs >= 0)
        result[:, mine[kept]] = values[:, theirs[kept]]
    for mine_column, their_column in (
        (wide.source_column, narrow.source_column),
        (wide.background_column, narrow.background_column),
    ):
        if mine_column >= 0:
            result[:, mine_column] = values[:, their_column]
    result[:, wide.asked :] = values[:, narrow.asked :]
    return wide.coordinates(result)
