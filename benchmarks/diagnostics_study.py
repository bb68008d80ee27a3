"""How often checks of the counts raise a false alarm, and what they see.

Run: python benchmarks/diagnostics_study.py [number of maps]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_liso.counting.frame_dispersion import frame_dispersion
from napari_liso.counting.frames import course_findings, frame_course
from napari_liso.counting.intensity import intensity_dependence

Floats = NDArray[np.float64]
SIDE = 128


def topography(rng: np.random.Generator, contrast: float = 0.4, width: float = 2.0) -> Floats:
    """Return a brightness of mean 1 that varies over a few pixels."""
    rough = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), width)
    image = np.exp(contrast * rough / rough.std())
    return np.asarray(image / image.mean())


def grains(rng: np.random.Generator, count: int = 30) -> NDArray[np.int64]:
    """Return labels from 1 of Voronoi cells."""
    points = rng.uniform(0, SIDE, (count, 2))
    grid = np.indices((SIDE, SIDE)).reshape(2, -1).T
    return np.asarray(cKDTree(points).query(grid)[1].reshape(SIDE, SIDE) + 1)


def maps(kind: str, rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.int64] | None]:
    """Return fraction, brightness and labels of a map without fault."""
    bright = topography(rng)
    x = np.arange(SIDE) / SIDE * np.ones((SIDE, 1))
    if kind == "even":
        return np.full((SIDE, SIDE), 0.3), bright, None
    if kind == "gradient":
        return 0.08 + 0.8 * x, bright, None
    if kind == "gradients alike":  # brightness falls where the fraction falls
        return 0.08 + 0.8 * x, bright * (0.3 + 1.4 * x), None
    if kind == "front":  # an error-function front of 10 pixels
        return 0.08 + 0.8 / (1 + np.exp((x - 0.5) * SIDE / 5)), bright * (0.3 + 1.4 * x), None
    cells = grains(rng)
    fraction = rng.uniform(0.1, 0.9, cells.max() + 1)[cells]
    bright = bright * np.exp(0.3 * rng.normal(size=cells.max() + 1))[cells]
    if "blur" in kind:
        light, heavy = (ndimage.gaussian_filter(bright * f, 1.0) for f in (fraction, 1 - fraction))
        fraction, bright = light / (light + heavy), light + heavy
    return fraction, bright, cells if "labels" in kind else None


def intensity(count: int) -> None:
    """Print how often the slope's interval misses zero on maps without fault."""
    print("fraction against brightness: false alarms at 5 %")
    kinds = (
        "even", "gradient", "gradients alike", "front", "grains", "grains, labels",
        "grains, blur", "grains, blur, labels",
    )  # fmt: skip
    for kind in kinds:
        row = []
        for counts in (1.0, 5.0, 40.0):
            alarms = 0
            for seed in range(count):
                rng = np.random.default_rng(seed)
                fraction, bright, labels = maps(kind, rng)
                n6 = rng.poisson(counts * bright * fraction)
                n7 = rng.poisson(counts * bright * (1 - fraction))
                low, high = intensity_dependence(n6, n7, labels).interval()
                alarms += not low <= 0 <= high
            row.append(alarms / count)
        print(f"  {kind:22}", "  ".join(f"{r:6.3f}" for r in row), flush=True)


def dead_time(count: int) -> None:
    """Print slopes on maps with dead time, and how often it is seen."""
    print(
        "fraction against brightness: dead time; counts a pulse, slope found and predicted, seen"
    )
    for fraction in (0.0759, 0.5, 0.9):
        for rate in (0.05, 0.1, 0.3, 0.6):
            slopes, seen, predicted = [], 0, []
            for seed in range(count):
                rng = np.random.default_rng(seed)
                ions = rate * topography(rng)
                n6 = rng.binomial(100, -np.expm1(-ions * fraction))
                n7 = rng.binomial(100, -np.expm1(-ions * (1 - fraction)))
                found = intensity_dependence(n6, n7, pulses=100)
                low, high = found.interval()
                seen += not low <= 0 <= high
                slopes.append(found.slope)
                predicted.append(found.dead_time)
            print(
                f"  c {fraction:6}  {rate:5}  {np.mean(slopes):+.4f}  {np.mean(predicted):+.4f}"
                f"  {seen / count:.2f}",
                flush=True,
            )


def frames(count: int) -> None:
    """Print how often frames without fault look dispersed, and what is seen of faults."""
    print("frame to frame: ratio, its spread, expected spread, outside of 95 % (pixels, blocks)")
    for mean in (0.05, 0.3, 1.0, 10.0):
        for fault in ("none", "beam", "dead time", "drift", "charging"):
            ratios, outside, spread, expected = [], np.zeros(2), [], []
            for seed in range(count):
                rng = np.random.default_rng(seed)
                bright = topography(rng)[:64, :64]
                made = _stack(rng, mean * bright, fault)
                pulses = max(1, round((mean * bright).mean() / 0.3)) if "time" in fault else None
                found = frame_dispersion(made, pulses)
                ratios.append(found.pixels.ratio)
                expected.append(found.dead_time_pixels)
                for place, chi in enumerate((found.pixels, found.blocks)):
                    low, high = chi.range(0.95)
                    outside[place] += not low <= chi.ratio <= high
                spread.append(np.sqrt(found.pixels.variance) / found.pixels.mean)
            print(
                f"  {mean:5} {fault:10} {np.mean(ratios):.4f} {np.std(ratios):.4f} "
                f"{np.mean(spread):.4f}  {outside / count}  dead time {np.mean(expected):.4f}",
                flush=True,
            )


def _stack(
    rng: np.random.Generator, rate: Floats, fault: str, count: int = 8
) -> NDArray[np.int64]:
    made = []
    for number in range(count):
        now = rate
        if fault == "beam":
            now = rate * (1 + 0.3 * np.sin(number))
        if fault == "drift":
            now = np.roll(rate, number // 2, axis=0)
        if fault == "charging":
            now = rate * (1 + 0.1 * np.sin(number) * np.linspace(-1, 1, 64))
        if fault == "dead time":
            pulses = max(1, round(rate.mean() / 0.3))
            made.append(rng.binomial(pulses, -np.expm1(-now / pulses)))
        else:
            made.append(rng.poisson(now))
    return np.array(made)


def course(count: int) -> None:
    """Print how often a steady fraction is called unsteady."""
    print("fraction over the frames: false alarms at 5 %, by counts a frame")
    for counts in (10, 100, 10_000):
        alarms = 0
        for seed in range(10 * count):
            rng = np.random.default_rng(seed)
            n6, n7 = rng.poisson(counts * 0.1, (20, 1, 1)), rng.poisson(counts * 0.9, (20, 1, 1))
            alarms += course_findings(frame_course(n6, n7))[0].verdict in ("doubtful", "bad")
        print(f"  {counts:6}  {alarms / (10 * count):.3f}", flush=True)


def main() -> None:
    """Print all tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    intensity(count)
    dead_time(max(1, count // 5))
    frames(max(1, count // 2))
    course(count)


if __name__ == "__main__":
    main()
