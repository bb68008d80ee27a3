"""From images and labels to what the fit may use; everything that cannot be fitted is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_liso.counting.dead_time import MAX_COUNTS_PER_PULSE, is_saturated
from napari_liso.diffusion.corrections import GivenCorrections, check_corrections
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.observation import Observation, observe
from napari_liso.diffusion.polycrystal import present_boundaries
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.profiles import distance_to_boundaries

__all__ = ["FitInput", "check_input"]

#: Fewer counted pixels than this in a grain say nothing about it.
_FEW_PIXELS = 3


@dataclass(frozen=True, eq=False)
class FitInput:
    """Checked input of a fit.

    Parameters
    ----------
    n6, n7
        int64 (y, x).
    boundaries
        Grains and boundaries.
    ids
        Ids of the boundaries in the model.
    group
        Parameter of each; those that share a k share a number.
    shares
        Whether the last parameter is a shared one.
    used
        Pixels that are data, bool (y, x).
    saturated
        Pixels with too many counts a pulse, bool (y, x).
    given
        Corrections.
    observation
        From the fraction of the sample to that of the counts, (y, x); None where they
        are the same.
    psf_fwhm, exclude
        m.
    notes
        What the user should know about the input.
    """

    n6: NDArray[np.int64]
    n7: NDArray[np.int64]
    boundaries: Boundaries
    ids: NDArray[np.int64]
    group: NDArray[np.int64]
    shares: bool
    used: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    given: GivenCorrections
    observation: Observation | None
    psf_fwhm: float
    exclude: float
    notes: list[str]


def check_input(
    n6: ArrayLike,
    n7: ArrayLike,
    grains: ArrayLike | Boundaries,
    pixel_size: float | tuple[float, float] | None,
    experiment: Experiment,
    chosen: Sequence[int] | None,
    section: str,
    psf_fwhm: float,
    exclude: float | None,
    corrections: dict[str, Any] | None = None,
) -> FitInput:
    """Check the arguments of `fit_diffusion`; `corrections` are keywords of `check_corrections`.

    Raises
    ------
    ValueError
        With what is wrong and what to do about it.
    """
    if section not in ("bulk", "columnar"):
        raise ValueError(f"section must be 'bulk' or 'columnar', got {section!r}")
    for name, value in (("psf_fwhm", psf_fwhm), ("exclude", exclude)):
        if value is not None and not 0 <= value < np.inf:
            raise ValueError(f"{name} must be a length in m, zero or more, got {value}")
    six, seven = _counts(n6, "n6"), _counts(n7, "n7")
    if six.shape != seven.shape:
        raise ValueError(f"n6 is {six.shape} and n7 is {seven.shape}: they must be one map")
    found = grains if isinstance(grains, Boundaries) else find_boundaries(grains, pixel_size)
    if isinstance(grains, Boundaries) and pixel_size is not None:
        sizes = np.broadcast_to(np.asarray(pixel_size, dtype=float), (2,))
        if not np.allclose(sizes, grains.pixel_size, rtol=1e-6):
            raise ValueError(
                f"pixel_size {tuple(sizes)} m differs from that of the boundaries, "
                f"{grains.pixel_size} m"
            )
    if found.grains.shape != six.shape:
        raise ValueError(f"the grains are {found.grains.shape}, the counts {six.shape}")
    ids = present_boundaries(found)
    if ids.size == 0:
        raise ValueError(
            "there is no boundary between two grains: label at least two grains that touch"
        )
    group, shares = _groups(found, ids, chosen)
    reach = max(found.pixel_size) + psf_fwhm if exclude is None else float(exclude)
    given = check_corrections(six.shape, **(corrections or {}))
    saturated = _saturated(np.maximum(six, seven), given)
    measured = ~saturated if given.pulses is None else ~saturated & (given.pulses > 0)
    eligible, notes = _usable(six + seven, measured, found, experiment, reach, psf_fwhm)
    used = eligible & (six + seven > 0)
    sharing = int((group == group.max()).sum()) if shares else 0
    if chosen is not None and sharing > 1:
        notes.append(
            f"{sharing} boundaries share one k. If theirs differ, this model does not fit and the "
            "chosen ones are biased: give every boundary a k of its own."
        )
    observation = observe(given, six, seven, found.grains, eligible)
    notes += _on_saturation(int(saturated.sum()), saturated.size)
    return FitInput(
        six, seven, found, ids, group, shares, used, saturated, given, observation,
        float(psf_fwhm), reach, notes,
    )  # fmt: skip


def _saturated(highest: NDArray[np.int64], given: GivenCorrections) -> NDArray[np.bool_]:
    """Pixels with more counts of a peak than a dead-time correction can stand."""
    if given.pulses is None:
        return np.zeros(highest.shape, dtype=bool)
    if (highest[given.pulses == 0] > 0).any():
        raise ValueError("pulses must be positive wherever there are counts")
    return is_saturated(highest, given.pulses, frames=True)


def _on_saturation(pixels: int, of: int) -> list[str]:
    if pixels == 0:
        return []
    note = (
        f"{pixels} of {of} pixels have more than {MAX_COUNTS_PER_PULSE} counts of one isotope a "
        "pulse: nearly every pulse counts there, and they are left out."
    )
    return [note]


def _counts(values: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} holds {array.dtype} values, not counts: intensities that were corrected or "
            "scaled have lost their counting statistics. Give the raw integer counts."
        )
    if array.ndim != 2:
        raise ValueError(f"{name} must be a (y, x) image, got shape {array.shape}: sum the frames")
    if array.size and int(array.min()) < 0:
        raise ValueError(f"{name} holds negative counts")
    return array.astype(np.int64)


def _groups(
    boundaries: Boundaries, ids: NDArray[np.int64], chosen: Sequence[int] | None
) -> tuple[NDArray[np.int64], bool]:
    """Parameter of each boundary, and whether the last one is shared."""
    excluded = (boundaries.table.loc[ids, "state"] == "exclude").to_numpy()
    if chosen is None:
        alone = ~excluded
    else:
        unknown = sorted({int(i) for i in chosen} - set(ids.tolist()))
        if unknown:
            raise ValueError(f"there is no boundary {unknown[0]} in this map")
        if len(chosen) == 0:
            raise ValueError("no boundary was chosen: give at least one id, or None for all")
        alone = np.isin(ids, np.asarray(list(chosen), dtype=np.int64)) & ~excluded
    group = np.cumsum(alone) - 1
    shares = not bool(alone.all())
    if shares:
        group[~alone] = int(alone.sum())
    return group.astype(np.int64), shares


def _usable(
    total: NDArray[np.int64],
    measured: NDArray[np.bool_],
    boundaries: Boundaries,
    experiment: Experiment,
    reach: float,
    psf_fwhm: float,
) -> tuple[NDArray[np.bool_], list[str]]:
    """Pixels that are data if they have counts, and what is odd about them."""
    if not total.any():
        raise ValueError("all counts are zero: choose the layers (or mass windows) that hold Li")
    drawn = np.asarray(boundaries.drawn)
    distance, nearest = distance_to_boundaries(boundaries)
    # A hair less than `reach`, so that rounding does not take a whole row of pixels.
    eligible = (drawn > 0) & measured & (distance >= reach * (1 - 1e-9))
    state = boundaries.table["state"]
    eligible &= ~np.isin(nearest, state.index[state == "exclude"])
    notes = _unreached(boundaries, experiment)
    if psf_fwhm > 0:
        eligible &= _far_from_source(total.shape, experiment, boundaries.pixel_size, psf_fwhm)
    used = eligible & (total > 0)
    if not used.any():
        if not measured[total > 0].any():
            raise ValueError(
                f"every pixel has more than {MAX_COUNTS_PER_PULSE} counts of one isotope a pulse: "
                "the map is saturated, or the pulses are too few (are they those of all frames?)"
            )
        raise ValueError(
            f"no pixel with counts is farther than {reach * 1e6:g} um from every boundary: "
            "the grains are too small for this beam, or exclude is too large"
        )
    grains = boundaries.grains
    counted = np.bincount(grains[used], minlength=int(grains.max()) + 1)
    blind = [int(g) for g in np.unique(grains[grains > 0]) if counted[g] < _FEW_PIXELS]
    if blind:
        listed = ", ".join(map(str, blind[:8])) + (", ..." if len(blind) > 8 else "")
        notes.append(
            f"{len(blind)} grain(s) have hardly a pixel away from their boundaries ({listed}): "
            "they conduct in the model but bring no data."
        )
    return eligible, notes


def _far_from_source(
    shape: tuple[int, ...], experiment: Experiment, pixel_size: tuple[float, float], reach: float
) -> NDArray[np.bool_]:
    """Pixels whose blur does not reach over the source edge."""
    if not isinstance(experiment.source, str):
        mask = np.asarray(experiment.source, dtype=bool)
        away = ndimage.distance_transform_edt(~mask, sampling=pixel_size)
        return np.asarray(away + min(pixel_size) / 2 >= reach)
    edge = experiment.source
    y, x = np.indices(shape) + 0.5
    distance = {
        "left": x * pixel_size[1],
        "right": (shape[1] - x) * pixel_size[1],
        "top": y * pixel_size[0],
        "bottom": (shape[0] - y) * pixel_size[0],
    }[edge]
    return np.asarray(distance >= reach)


def _unreached(boundaries: Boundaries, experiment: Experiment) -> list[str]:
    """Note on pieces of the map that no path connects with the source."""
    pieces, _ = ndimage.label(boundaries.grains > 0)
    if isinstance(experiment.source, str):
        rim = {
            "left": pieces[:, 0],
            "right": pieces[:, -1],
            "top": pieces[0],
            "bottom": pieces[-1],
        }[experiment.source]
    else:
        mask = np.asarray(experiment.source, dtype=bool)
        if mask.shape != pieces.shape:
            raise ValueError(f"the source mask is {mask.shape}, the grains are {pieces.shape}")
        rim = pieces[mask]
    cut_off = (pieces > 0) & ~np.isin(pieces, rim[rim > 0])
    if not cut_off.any():
        return []
    grains = np.unique(boundaries.grains[cut_off])
    note = (
        f"{grains.size} grain(s) have no path to the source on this map (pores around them): "
        "their boundaries cannot be decided."
    )
    return [note]
