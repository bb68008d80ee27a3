"""How many shifts between frames are found to the pixel, by us and by phase correlation.

Run: python benchmarks/drift_study.py
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.registration import phase_cross_correlation

from napari_liso.counting.drift import measure_drift

SIZE = 320
MAPS = 6
FRAMES = 20


def scene(rng: np.random.Generator, grains: int = 60) -> NDArray[np.float64]:
    """Return the brightness of grains with dark boundaries under a beam 3.5 pixels wide."""
    centres = rng.uniform(0, SIZE, (grains, 2))
    brightness = np.exp(0.35 * rng.normal(size=grains))
    grid = np.indices((SIZE, SIZE)).reshape(2, -1).T
    distance, nearest = cKDTree(centres).query(grid, k=2)
    image = brightness[nearest[:, 0]].reshape(SIZE, SIZE)
    image[(distance[:, 1] - distance[:, 0]).reshape(SIZE, SIZE) < 2] *= 0.6
    image = ndimage.gaussian_filter(image, 1.5)
    return image / image.mean()


def frames_of(
    rng: np.random.Generator, counts: float, side: int, step: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return counts of frames that wander, and the shifts that bring them back."""
    image = scene(rng)
    path = np.cumsum(np.rint(rng.normal(0, step, (FRAMES, 2))).astype(int), axis=0)
    path -= path[0]
    corner = (SIZE - side) // 2
    frames = [
        rng.poisson(counts * image[corner + y : corner + y + side, corner + x : corner + x + side])
        for y, x in path
    ]
    return np.array(frames), path


def by_phase(frames: NDArray[np.int64], normalization: str | None) -> NDArray[np.int64]:
    """Return the shifts of every frame against the first one by scikit-image."""
    shifts = [
        phase_cross_correlation(frames[0], frame, normalization=normalization)[0]
        for frame in frames
    ]
    return np.rint(shifts).astype(int)


def main() -> None:
    """Print the table."""
    print("step  side  counts  ours wrong  by > 1 px  phase wrong  correlation wrong  of")
    for step in (0.4, 1.5):
        for side in (64, 128, 192):
            for counts in (0.3, 1.0, 3.0, 10.0):
                wrong = np.zeros(4, int)
                for seed in range(MAPS):
                    frames, path = frames_of(np.random.default_rng(seed), counts, side, step)
                    ours = measure_drift(frames).shifts
                    others = [by_phase(frames, kind) for kind in ("phase", None)]
                    wrong[0] += np.any(ours != path, axis=1).sum()
                    wrong[1] += np.any(np.abs(ours - path) > 1, axis=1).sum()
                    for place, found in enumerate(others):
                        wrong[2 + place] += np.any(found != path, axis=1).sum()
                row = "  ".join(f"{n:9d}" for n in wrong)
                print(f"{step:4}  {side:4}  {counts:6}  {row}  {MAPS * (FRAMES - 1)}", flush=True)


if __name__ == "__main__":
    main()
