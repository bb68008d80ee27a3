"""Checks what a fit of profiles was given, and sets the problem up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.corrections import GivenCorrections, check_corrections
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.observation import Observation, observe
from napari_liso.diffusion.series.bins import Bins, bin_edges, build_bins
from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.layout import FractionRule, Layout, build_layout
from napari_liso.diffusion.series.plan import Period
from napari_liso.diffusion.series.problem import SeriesProblem
from napari_liso.units import BOLTZMANN_EV

__all__ = [
    "GivenProfiles",
    "ProfileOptions",
    "Whole",
    "check_profiles",
    "describe_corrections",
    "periods_of",
    "set_up",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class ProfileOptions:
    """Keywords of `fit_profile` that the model needs."""

    shared_d: bool = True
    shared_k: bool = False
    psf_fwhm: float = 0.0
    exclude: float | None = None
    length: float | None = None
    source_fraction: float | Measured | str | None = None
    background_fraction: float | Measured | str | None = None
    surface_exchange: str | None = None
    pulses: ArrayLike | None = None
    hydride_ratio: float | Measured = 0.0
    fractionation: float | Measured = 1.0
    background: Sequence[ArrayLike | Measured] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class GivenProfiles:
    """Checked input.

    Parameters
    ----------
    distance, edges
        Middles (bins,) and edges (bins + 1,) of the bins, m.
    n6, total
        Counts, (fits, bins).
    interfaces
        Positions of the boundaries, m, ascending.
    used
        Bins that are data.
    length
        Of the sample, m; inf for an open end.
    """

    distance: FloatArray
    edges: FloatArray
    n6: FloatArray
    total: FloatArray
    interfaces: FloatArray
    used: NDArray[np.bool_]
    length: float

    @property
    def step(self) -> float:
        """Typical width of a bin, m."""
        return float(np.median(np.diff(self.edges)))

    @property
    def thickness(self) -> FloatArray:
        """Of the grains, m; the last may be inf."""
        return np.diff(np.concatenate([[0.0], self.interfaces, [self.length]]))


def check_profiles(
    distance: ArrayLike,
    n6: ArrayLike,
    n7: ArrayLike,
    interfaces: ArrayLike,
    options: ProfileOptions,
) -> GivenProfiles:
    """Check arrays and positions.

    Raises
    ------
    ValueError
        If counts are not whole or not of one shape with `distance`, a position is
        outside the profile, or nothing is left to fit.
    """
    middle = np.asarray(distance, dtype=float)
    edges = bin_edges(middle)
    six, seven = _counts(n6, "n6", middle.size), _counts(n7, "n7", middle.size)
    if six.shape != seven.shape:
        raise ValueError(f"n6 has shape {six.shape}, n7 {seven.shape}")
    length = float(edges[-1]) if options.length is None else float(options.length)
    if not length >= edges[-1] * (1 - 1e-9):
        raise ValueError(
            f"the sample is {length:g} m long, but the last bin ends at {edges[-1]:g} m"
        )
    places = np.sort(np.asarray(interfaces, dtype=float).ravel())
    if places.size and not (places[0] > 0 and places[-1] < length):
        raise ValueError(
            f"interfaces must lie between the source face and the end of the sample "
            f"({length:g} m), in m"
        )
    if np.any(np.diff(places) <= 0):
        raise ValueError("two interfaces lie at the same place")
    if not options.psf_fwhm >= 0:
        raise ValueError(f"psf_fwhm must be 0 or more metres, got {options.psf_fwhm}")
    given = GivenProfiles(
        middle, edges, six, six + seven, places, np.ones(middle.size, bool), length
    )
    exclude = given.step if options.exclude is None else float(options.exclude)
    if not exclude >= 0:
        raise ValueError(f"exclude must be 0 or more metres, got {options.exclude}")
    away = np.abs(middle[:, None] - places).min(axis=1, initial=np.inf)
    used = away >= exclude * (1 - 1e-9)
    if not (given.total[:, used].sum(axis=1) > 0).all():
        raise ValueError("no counts are left to fit: all bins are empty or near an interface")
    return replace(given, used=used)


def _counts(counts: ArrayLike, name: str, bins: int) -> FloatArray:
    array = np.atleast_2d(np.asarray(counts))
    if array.ndim != 2 or array.shape[1] != bins:
        raise ValueError(f"{name} has shape {np.shape(counts)}, distance {bins} bins")
    whole = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and np.array_equal(array, np.round(array))
    )
    if not whole:
        raise ValueError(
            f"{name} must be whole counts: sum the counts of pixels, do not average or scale"
        )
    if np.any(array < 0):
        raise ValueError(f"{name} has negative counts")
    return array.astype(np.float64)


def periods_of(experiment: Experiment) -> list[Period]:
    """Stages, with D and k at the temperature of each over those of the first.

    The activation energies (eV) of bulk and boundary are those of the experiment;
    without them a change of temperature changes nothing. The exchange at the
    surface follows the boundary.
    """
    first = experiment.stages[0].temperature
    periods = []
    for stage in experiment.stages:
        inverse = (1 / first - 1 / stage.temperature) / BOLTZMANN_EV
        bulk, boundary = (
            float(
                np.exp((getattr(experiment, f"activation_energy_{name}", None) or 0.0) * inverse)
            )
            for name in ("bulk", "boundary")
        )
        periods.append(Period(stage.duration, stage.source, bulk, boundary, boundary))
    return periods


@dataclass(frozen=True, eq=False)
class Whole:
    """What belongs to all bins, those near boundaries included.

    Parameters
    ----------
    bins
        Quadrature.
    seen
        From the fraction of the sample to that of the counts, or None.
    """

    bins: Bins
    seen: Observation | None = None


def set_up(
    given: GivenProfiles, experiment: Experiment, options: ProfileOptions
) -> tuple[SeriesProblem, Whole]:
    """Return the problem over the bins used, and what belongs to all of them."""
    bins = build_bins(given.edges, given.interfaces, given.length, options.psf_fwhm)
    used = bins.only(given.used)
    periods = periods_of(experiment)
    chain = Chain(given.thickness, periods, used.positions)
    total = given.total[:, given.used]
    mixes = (used.weights @ (used.layer[:, None] == np.arange(chain.layers)) > 1e-9).sum(axis=1)
    intensity = None
    if (mixes > 1).any():
        intensity = used.intensities(total, chain.layers)
    every = _observation(given, options)
    seen = None if every is None else every.take(np.flatnonzero(given.used))
    corrections = () if seen is None else tuple(name for name, _ in seen.errors)
    layout = layout_of(chain, used, experiment, options, corrections)
    problem = SeriesProblem.of(
        chain, used, layout, given.n6[:, given.used], total, intensity, seen
    )
    return problem, Whole(bins, every)


def _corrections(given: GivenProfiles, options: ProfileOptions) -> GivenCorrections:
    return check_corrections(
        (1, given.distance.size),
        None if options.pulses is None else np.atleast_2d(np.asarray(options.pulses)),
        options.hydride_ratio,
        options.fractionation,
        [b if isinstance(b, Measured) else _row(b) for b in options.background],
    )


def describe_corrections(given: GivenProfiles, options: ProfileOptions) -> dict[str, Any] | None:
    """Corrections of the counts in JSON-able words; None if there are none."""
    return _corrections(given, options).describe()


def _observation(given: GivenProfiles, options: ProfileOptions) -> Observation | None:
    """What stands between the sample and the counts of all bins; None if nothing does."""
    corrections = _corrections(given, options)
    if corrections.needs_intensity and given.n6.shape[0] > 1:
        raise ValueError(
            "dead time and background depend on the intensity of each profile: use fit_profile, "
            "one by one"
        )
    grain = np.searchsorted(given.interfaces, given.distance, side="right")[None] + 1
    six = given.n6[:1].astype(np.int64)
    seven = (given.total - given.n6)[:1].astype(np.int64)
    seen = observe(corrections, six, seven, grain, np.ones(six.shape, dtype=bool))
    return None if seen is None else seen.take(slice(None))


def _row(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array if array.ndim == 0 else np.atleast_2d(array)


def layout_of(
    chain: Chain,
    bins: Bins,
    experiment: Experiment,
    options: ProfileOptions,
    corrections: tuple[str, ...] = (),
) -> Layout:
    """Number the parameters."""
    source = FractionRule.of(
        options.source_fraction, float(experiment.source_fraction), "source_fraction"
    )
    background = FractionRule.of(
        options.background_fraction, float(experiment.background_fraction), "background_fraction"
    )
    fit_surface = options.surface_exchange == "fit"
    if options.surface_exchange not in (None, "fit"):
        raise ValueError(
            'surface_exchange must be "fit" or None (that of the experiment), got '
            f"{options.surface_exchange!r}"
        )
    return build_layout(
        chain.seen(float(bins.positions[-1])),
        chain.effective_time,
        source=source,
        background=background,
        surface=experiment.surface_exchange,
        fit_surface=fit_surface,
        shared_d=options.shared_d,
        shared_k=options.shared_k,
        corrections=corrections,
    )
