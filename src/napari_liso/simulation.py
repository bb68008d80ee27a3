"""A virtual measurement: grains, experiment and coefficients in, counts out, truth kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_liso.acquisition import Acquisition
from napari_liso.counting.measured import Measured
from napari_liso.diffusion.corrections import GivenCorrections, check_corrections
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.polycrystal import build_polycrystal, present_boundaries, solve
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries

__all__ = ["simulate", "voronoi_grains"]

#: Full width at half maximum of a normal distribution, in standard deviations.
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
#: Masses of 6Li and 7Li in u (AME 2020).
_MASSES = np.array([6.0151229, 7.0160034])


def simulate(
    grains: ArrayLike | Boundaries,
    pixel_size: float | tuple[float, float] | None,
    experiment: Experiment,
    diffusivity: float,
    permeability: float | Mapping[tuple[int, int], float],
    counts_per_pixel: float | ArrayLike,
    psf_fwhm: float = 0.0,
    seed: int = 0,
    pulses: ArrayLike | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    background: Sequence[ArrayLike | Measured] = (0.0, 0.0),
) -> Acquisition:
    """Simulate a map with the full finite-volume model and Poisson counts.

    Parameters
    ----------
    grains
        Labels (y, x), 0 = not a grain: no lithium there.
    pixel_size
        m, or (y, x) in m.
    experiment
        Stages, source and background.
    diffusivity
        D of all grains, m2/s.
    permeability
        k in m/s: one for all boundaries, or one for each pair of grains
        (the smaller label first).
    counts_per_pixel
        Expected 6Li+ and 7Li+ ions of a pixel (its counts, if none of the effects below
        is asked for), a number or a (y, x) image.
    psf_fwhm
        Full width at half maximum of the beam's blur in m; it acts on the
        intensities of both isotopes.
    seed
        Of the Poisson counts.
    pulses
        Primary-ion pulses behind each pixel, a number or (y, x): each gives at most one
        count of a peak (dead time), however many ions arrive. None: no dead time.
    hydride_ratio
        6LiH+ per 6Li+, counted as 7Li on top of the ions.
    fractionation
        Factor on the odds 6Li+/7Li+.
    background
        Expected background counts of the two isotopes, each a number or (y, x); they are
        everywhere, pores included, and not blurred.

    Returns
    -------
    Acquisition
        Channels "6Li" and "7Li", int64 (2, 1, y, x), and the pulses; ``metadata["truth"]``
        holds the coefficients that made it (JSON-able).

    Raises
    ------
    ValueError
        If a coefficient is not positive, or a pair of touching grains has no
        permeability.
    """
    for name, value in (("diffusivity", diffusivity), ("psf_fwhm", psf_fwhm + 1e-300)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")
    found = grains if isinstance(grains, Boundaries) else find_boundaries(grains, pixel_size)
    crystal = build_polycrystal(found, experiment)
    k, truth = _permeabilities(found, permeability)
    values = solve(
        crystal,
        experiment.stages,
        k,
        diffusivity,
        experiment.background_fraction,
        experiment.source_fraction,
    )
    fraction = crystal.to_image(values)
    inside = np.isfinite(fraction)
    intensity = np.where(inside, np.broadcast_to(counts_per_pixel, fraction.shape), 0.0)
    if not (np.isfinite(intensity).all() and (intensity >= 0).all() and intensity.any()):
        raise ValueError("counts_per_pixel must be zero or more, and not zero everywhere")
    given = check_corrections(fraction.shape, pulses, hydride_ratio, fractionation, background)
    expected = _ions(intensity, np.where(inside, fraction, 0.0), given)
    if psf_fwhm > 0:
        sigma = [psf_fwhm / _FWHM / size for size in found.pixel_size]
        expected = np.stack([ndimage.gaussian_filter(e, sigma, mode="nearest") for e in expected])
    counts = _count(np.clip(expected, 0, None), given, seed)
    return Acquisition(
        counts=counts[:, None],
        channels=("6Li", "7Li"),
        masses=_MASSES.copy(),
        pixel_size=found.pixel_size,
        pulses=None if given.pulses is None else given.pulses.astype(np.int64)[np.newaxis],
        metadata={
            "format": "simulated",
            "counts_are": "counts",
            "warnings": [],
            "truth": {
                "diffusivity": float(diffusivity),
                "permeability": truth,
                "experiment": experiment.describe(),
                "psf_fwhm": float(psf_fwhm),
                "corrections": given.describe(),
                "seed": int(seed),
            },
        },
    )


def _ions(
    intensity: NDArray[np.float64], fraction: NDArray[np.float64], given: GivenCorrections
) -> NDArray[np.float64]:
    """Expected ions at the two peaks, (2, y, x), background apart."""
    hydride, factor = given.hydride_ratio.value, given.fractionation.value
    if factor != 1:
        fraction = factor * fraction / (1 - fraction + factor * fraction)
    six, seven = intensity * fraction, intensity * (1 - fraction)
    return np.stack([six, seven + hydride * six if hydride else seven])


def _count(expected: NDArray[np.float64], given: GivenCorrections, seed: int) -> NDArray[np.int64]:
    """Draw what is counted, (2, y, x)."""
    shape = expected.shape[1:]
    extra = np.stack([np.broadcast_to(b, shape) for b in given.background])
    if given.pulses is not None:
        # A pulse counts if one ion or more arrives.
        rate = np.divide(
            expected + extra, given.pulses, out=np.zeros_like(expected), where=given.pulses > 0
        )
        hits = _stream(seed, 4).binomial(given.pulses.astype(np.int64), -np.expm1(-rate))
        return np.asarray(hits, dtype=np.int64)
    counts = _stream(seed, 1).poisson(expected).astype(np.int64)
    if extra.any():
        counts = counts + _stream(seed, 3).poisson(extra)
    return np.asarray(counts, dtype=np.int64)


def _stream(seed: int, use: int) -> np.random.Generator:
    """Random numbers for one use.

    One seed may serve for grains, permeabilities and counts: streams that shared
    their numbers would tie the counts to the truth and spoil tests of coverage.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(use,)))


def _permeabilities(
    boundaries: Boundaries, permeability: float | Mapping[tuple[int, int], float]
) -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
    """k of each boundary in m/s, and the same as a JSON-able list."""
    rows = boundaries.table.loc[present_boundaries(boundaries), ["grain_a", "grain_b"]]
    pairs = [(int(a), int(b)) for a, b in rows.to_numpy()]
    if isinstance(permeability, Mapping):
        missing = sorted(set(pairs) - set(permeability))
        if missing:
            raise ValueError(f"grains {missing[0][0]} and {missing[0][1]} touch, but have no k")
        k = np.array([float(permeability[pair]) for pair in pairs])
    else:
        k = np.full(len(pairs), float(permeability))
    if not ((k > 0) & np.isfinite(k)).all():
        raise ValueError("permeabilities must be positive and finite, in m/s")
    truth = [
        {"grain_a": a, "grain_b": b, "permeability": float(value)}
        for (a, b), value in zip(pairs, k, strict=True)
    ]
    return k, truth


def voronoi_grains(
    shape: tuple[int, int], number: int, seed: int = 0, relaxed: int = 2
) -> NDArray[np.int32]:
    """Grains of a Poisson-Voronoi mosaic, made more equal by Lloyd's steps.

    Parameters
    ----------
    shape
        (y, x) in pixels.
    number
        Of grains.
    seed
        Of their centres.
    relaxed
        Lloyd steps: each moves the centres to their grains' centroids.

    Returns
    -------
    ndarray
        Labels 1..number, int32 (y, x).
    """
    if number < 1 or number > shape[0] * shape[1]:
        raise ValueError(f"number must be 1 to the number of pixels, got {number}")
    centres = _stream(seed, 2).uniform(0, 1, (number, 2)) * shape
    pixels = np.indices(shape).reshape(2, -1).T + 0.5
    nearest = cKDTree(centres).query(pixels)[1]
    for _ in range(relaxed):
        counts = np.maximum(np.bincount(nearest, minlength=number), 1)
        centres = np.column_stack(
            [np.bincount(nearest, pixels[:, i], minlength=number) / counts for i in (0, 1)]
        )
        nearest = cKDTree(centres).query(pixels)[1]
    labels = np.unique(nearest, return_inverse=True)[1] + 1
    result: NDArray[np.int32] = labels.reshape(shape).astype(np.int32)
    return result
