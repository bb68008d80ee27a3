"""Speed of boundaries: found from nothing, and after an edit; 4096 x 4096 with 5,000 grains.

scikit-image stands beside: `find_boundaries` and `label` give a mask of the
boundary pixels and its connected pieces, without pairs, lengths or normals.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from skimage import measure, segmentation

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.update import find_patch
from napari_liso.simulation import voronoi_grains

SIDE, GRAINS, PIXEL = 4096, 5000, 1e-7

Edit = tuple[np.ndarray, tuple[slice, slice]]


@pytest.fixture(scope="module", params=["touching", "drawn lines"])
def drawn(request: pytest.FixtureRequest) -> np.ndarray:
    grains = voronoi_grains((SIDE, SIDE), GRAINS, seed=1).astype(np.uint16)
    if request.param == "drawn lines":
        line = np.zeros(grains.shape, dtype=bool)
        line[:-1] |= grains[:-1] != grains[1:]
        line[:, :-1] |= grains[:, :-1] != grains[:, 1:]
        grains[line] = 0
    return grains


@pytest.fixture(scope="module")
def found(drawn: np.ndarray) -> Boundaries:
    return find_boundaries(drawn, PIXEL)


@pytest.fixture(scope="module")
def edit(found: Boundaries) -> Edit:
    """A stroke of a brush of 21 pixels across the middle face of the middle boundary."""
    y, x = np.divmod(found.faces.first[len(found.faces) // 2], SIDE)
    box = (slice(max(y - 10, 0), y + 11), slice(max(x - 10, 0), x + 11))
    new = found.drawn.copy()
    new[box] = found.grains[y, x]
    return new, box


def test_boundaries_and_table(benchmark, drawn) -> None:
    found = benchmark.pedantic(find_boundaries, (drawn, PIXEL), rounds=2)
    benchmark.extra_info["boundaries"] = len(found)
    benchmark.extra_info["faces"] = len(found.faces)


def test_boundaries_of_scikit_image(benchmark, drawn) -> None:
    def run() -> int:
        edges = segmentation.find_boundaries(drawn, mode="thick")
        return int(measure.label(edges, connectivity=2).max())

    benchmark.pedantic(run, rounds=2)


def test_patch_of_a_local_edit(benchmark, found, edit) -> None:
    patch = benchmark.pedantic(find_patch, (found, edit[0]), {"box": edit[1]}, rounds=5)
    touched = len(patch.changed) + len(patch.added) + len(patch.removed)
    benchmark.extra_info["boundaries touched"] = touched
    benchmark.extra_info["bytes"] = patch.nbytes


def test_local_edit(benchmark, found, edit) -> None:
    """The patch and the new boundaries: what a user waits for."""
    after = benchmark.pedantic(
        lambda: find_patch(found, edit[0], box=edit[1]).apply(found), rounds=5
    )
    start = time.perf_counter()
    fresh = find_boundaries(after.drawn, PIXEL)
    benchmark.extra_info["s if found anew"] = time.perf_counter() - start
    np.testing.assert_array_equal(after.grains, fresh.grains)
    there = after.table["length"] > 0
    assert after.table["length"][there].sum() == pytest.approx(fresh.table["length"].sum())


def test_local_edit_without_knowing_where(benchmark, found, edit) -> None:
    """With the difference of two label images, as after a stroke of napari's brush."""
    benchmark.pedantic(lambda: find_patch(found, edit[0]).apply(found), rounds=5)


def test_difference_of_label_images(benchmark, found, edit) -> None:
    benchmark.pedantic(lambda: np.flatnonzero(found.drawn != edit[0]), rounds=5)


def test_undo(benchmark, found, edit) -> None:
    patch = find_patch(found, edit[0], box=edit[1])
    after = patch.apply(found)
    benchmark.pedantic(lambda: patch.inverse().apply(after), rounds=5)


def test_junctions(benchmark, found) -> None:
    def run() -> int:
        found.__dict__.pop("junctions", None)
        return len(found.junctions)

    benchmark.extra_info["junctions"] = benchmark.pedantic(run, rounds=2)


def test_surfaces(benchmark, found) -> None:
    def run() -> int:
        found.__dict__.pop("surfaces", None)
        return len(found.surfaces)

    benchmark.extra_info["surfaces"] = benchmark.pedantic(run, rounds=2)
