"""Profiles of all boundaries of a map in one pass, against one boundary at a time.

Peers, in the same run: a straight strip across every boundary
(``skimage.measure.profile_line`` on both counts, 80 pixels long and 40 wide), and two
distance transforms for every boundary in its bounding box. They are run on some of the
boundaries and scaled to all.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import profile_line

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.profiles import (
    boundary_profile,
    boundary_profiles,
    boundary_steps,
)

PIXEL = 0.5e-6
REACH = 20
#: Boundaries that the peers are run on.
SOME = 20

Case = tuple[Boundaries, NDArray[np.uint16], NDArray[np.uint16]]


@pytest.fixture(scope="module", params=[(2048, 340), (4096, 5000)], ids=["2048px", "4096px"])
def case(request: pytest.FixtureRequest) -> Case:
    side, grains = request.param
    rng = np.random.default_rng(0)
    tree = cKDTree(rng.random((grains, 2)) * side)
    x = np.arange(side)
    rows = [tree.query(np.stack([np.full(side, y), x], axis=1))[1] + 1 for y in range(side)]
    n6 = rng.poisson(1.0, (side, side)).astype(np.uint16)
    n7 = rng.poisson(3.0, (side, side)).astype(np.uint16)
    return find_boundaries(np.array(rows, dtype=np.int32), PIXEL), n6, n7


def all_at_once(case: Case) -> Any:
    boundaries, n6, n7 = case
    return boundary_profiles(boundaries, n6, n7, REACH * PIXEL)


def test_profiles_of_all_boundaries(benchmark: Any, case: Case) -> None:
    found = benchmark.pedantic(all_at_once, (case,), rounds=3)
    benchmark.extra_info["boundaries"] = len(found)
    tracemalloc.start()
    all_at_once(case)
    benchmark.extra_info["extra_memory_GB"] = round(tracemalloc.get_traced_memory()[1] / 1e9, 2)
    tracemalloc.stop()


def test_profiles_within_an_angle_and_a_band(benchmark: Any, case: Case) -> None:
    boundaries, n6, n7 = case
    benchmark.pedantic(
        lambda: boundary_profiles(
            boundaries, n6, n7, REACH * PIXEL, max_angle=0.5, band=(0.1, 0.9)
        ),
        rounds=3,
    )


def test_steps_of_all_boundaries(benchmark: Any, case: Case) -> None:
    benchmark.pedantic(lambda: boundary_steps(*case), rounds=3)


def test_one_profile_of_a_large_map(benchmark: Any, case: Case) -> None:
    boundaries, n6, n7 = case
    benchmark(lambda: boundary_profile(boundaries, 500, n6, n7, REACH * PIXEL))


def across(case: Case, boundary: int) -> None:
    """Average both counts along a straight strip across a boundary."""
    boundaries, n6, n7 = case
    faces = boundaries.faces
    mine = faces.first[faces.boundary == boundary]
    middle = np.mean(np.divmod(mine, n6.shape[1]), axis=1)
    normal = boundaries.table.loc[boundary, ["normal_y", "normal_x"]].to_numpy(dtype=float)
    for image in (n6, n7):
        profile_line(
            image, middle - 2 * REACH * normal, middle + 2 * REACH * normal, linewidth=2 * REACH
        )


def by_transform(case: Case, boundary: int) -> None:
    """Sum counts by two distance transforms within the bounding box of the two grains.

    A transform a side, each within the box of its grain alone, would take a third of it.
    """
    boundaries, n6, n7 = case
    faces = boundaries.faces
    pair = boundaries.table.loc[boundary, ["grain_a", "grain_b"]].to_list()
    both = [boxes(boundaries)[grain - 1] for grain in pair]
    box = tuple(
        slice(min(one.start, other.start), max(one.stop, other.stop))
        for one, other in zip(*both, strict=True)
    )
    labels = boundaries.grains[box]
    mine = faces.boundary == boundary
    pixels = np.divmod(np.concatenate([faces.first[mine], faces.second[mine]]), n6.shape[1])
    touching = tuple(p - cut.start for p, cut in zip(pixels, box, strict=True))
    for grain in pair:
        away = np.ones(labels.shape, dtype=bool)
        away[touching] = False
        away |= labels != grain
        distance = ndimage.distance_transform_edt(away) + 0.5
        here = (labels == grain) & (distance < REACH)
        place = distance[here].astype(int)
        for image in (n6, n7):
            np.bincount(place, image[box][here], minlength=REACH)


_boxes: dict[int, list[tuple[slice, slice]]] = {}


def boxes(boundaries: Boundaries) -> list[tuple[slice, slice]]:
    """Bounding boxes of the grains, found once a map."""
    if id(boundaries) not in _boxes:
        _boxes[id(boundaries)] = ndimage.find_objects(boundaries.grains)
    return _boxes[id(boundaries)]


@pytest.mark.parametrize(
    ("peer", "at_least"), [(across, 3.0), (by_transform, 3.0)], ids=["profile_line", "transform"]
)
def test_ratio_to_one_boundary_at_a_time(
    benchmark: Any, case: Case, peer: Callable[[Case, int], None], at_least: float
) -> None:
    boundaries = case[0]
    open_ones = boundaries.table.index[boundaries.table["normal_y"].notna()]
    boxes(boundaries)
    chosen = np.random.default_rng(1).choice(open_ones, SOME, replace=False)
    start = time.perf_counter()
    all_at_once(case)
    ours = time.perf_counter() - start

    def theirs() -> None:
        for boundary in chosen:
            peer(case, int(boundary))

    benchmark.pedantic(theirs, rounds=1)
    ratio = benchmark.stats.stats.mean / SOME * len(boundaries) / ours
    benchmark.extra_info["ratio"] = round(ratio, 1)
    assert ratio >= at_least
