"""Splitting grains: along a drawn path, or between points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_liso.microstructure.edits import Collector, PixelEdit, check_grains
from napari_liso.microstructure.paths import check_path, path_pixels
from napari_liso.microstructure.pieces import by_size, divide, flood, pieces_at

__all__ = ["split_by_points", "split_grain"]

Labels = NDArray[np.integer[Any]]
Pixels = NDArray[np.int64]

# The direction of the end of a path is that of its last so many pixels.
_TAIL = 10


def split_grain(
    grains: ArrayLike,
    path: ArrayLike,
    *,
    line: bool = False,
    reach: float = 8.0,
    smallest: int = 9,
) -> PixelEdit:
    """Split the grains that a drawn path crosses from side to side.

    The pixels under the path go to the grains on its sides, so that the new
    boundary runs within a pixel of the path. The larger part of a grain keeps
    the label; the others get new ones, above all that there are. Only the
    connected piece of a grain that the path crosses is divided.

    The ends may lie outside the grain. Where one ends inside, it is led on to
    the border, straight ahead rather than sideways, if that is no farther than
    `reach`. An end that lies in another grain than the one that is split only
    is led on if the path has crossed most of that grain. A path that meets its
    own beginning within `reach` cuts out a grain.

    Parameters
    ----------
    grains
        Labels (y, x).
    path
        Points (n, 2), (y, x) in pixels, pixel centres at whole numbers.
    line
        Leave the pixels under the path 0 between the parts, as ImageJ does.
    reach
        In pixels.
    smallest
        Parts of fewer pixels go to the side that they touch, as do parts in
        which no block of 3 x 3 pixels fits, unless they are a quarter of the
        grain.

    Returns
    -------
    PixelEdit

    Raises
    ------
    ValueError
        If no grain is divided, or there is no label left for a new grain.
    """
    labels = check_grains(grains)
    pixels = pixels_within(_extended(labels, path_pixels(check_path(path)), reach), labels.shape)
    under = labels[pixels[:, 0], pixels[:, 1]]
    crossed = np.unique(under[under > 0])
    if len(crossed) == 0:
        raise ValueError("the line runs over no grain; draw it across one")
    edit = Collector(labels)
    for grain in crossed.tolist():
        mine = pixels[under == grain]
        for box, piece in pieces_at(labels, mine):
            barrier = np.zeros(piece.shape, dtype=bool)
            barrier[mine[:, 0] - box[0].start, mine[:, 1] - box[1].start] = True
            parts = divide(piece, barrier & piece, smallest)
            if parts is not None:
                if line:
                    parts = _with_line(parts, barrier)
                edit.put_parts(box, parts)
    if not edit:
        names = ", ".join(str(grain) for grain in crossed[:5].tolist())
        raise ValueError(
            f"the line does not divide grain {names}; draw it from one side of the grain to "
            f"the other (an end may be up to {reach:g} pixels short)"
        )
    return edit.done()


def split_by_points(
    grains: ArrayLike, points: ArrayLike, relief: ArrayLike | None = None
) -> PixelEdit:
    """Divide a grain between points: each one becomes the seed of a part.

    Parameters
    ----------
    grains
        Labels (y, x).
    points
        (n, 2), (y, x) in pixels, two or more in one piece of a grain.
    relief
        Image (y, x) that is high where the new boundaries run, such as the
        cost of `napari_liso.microstructure.livewire.cost_of` turned round; the
        parts meet on its crests (watershed). None: the parts meet halfway, or
        at a neck of the grain.

    Returns
    -------
    PixelEdit
        The largest part keeps the label.

    Raises
    ------
    ValueError
        If there are fewer than two points, they share a pixel, lie outside a
        grain or in different ones.
    """
    labels = check_grains(grains)
    where = np.asarray(points, dtype=np.float64)
    if where.ndim != 2 or where.shape[1] != 2 or len(where) < 2:
        raise ValueError("choose at least two points (y, x) in the grain to split")
    seeds = np.floor(where + 0.5).astype(np.int64)
    if len(pixels_within(seeds, labels.shape)) < len(seeds):
        raise ValueError("a point lies outside the image")
    if len(np.unique(seeds, axis=0)) < len(seeds):
        raise ValueError("two points lie in the same pixel; set them farther apart")
    names = np.unique(labels[seeds[:, 0], seeds[:, 1]]).tolist()
    if 0 in names:
        raise ValueError("a point lies in no grain")
    if len(names) > 1:
        raise ValueError(f"the points lie in grains {names[0]} and {names[1]}; choose one grain")
    found = list(pieces_at(labels, seeds))
    if len(found) > 1:
        raise ValueError(f"the points lie in separate pieces of grain {names[0]}")
    box, piece = found[0]
    markers = np.zeros(piece.shape, dtype=np.int32)
    inside = seeds[:, 0] - box[0].start, seeds[:, 1] - box[1].start
    markers[inside] = np.arange(1, len(seeds) + 1)
    if relief is None:
        height = _necks(piece, inside)
    else:
        height = np.asarray(relief)
        if height.shape != labels.shape:
            raise ValueError(f"relief has shape {height.shape}, the grains {labels.shape}")
        height = np.nan_to_num(height[box].astype(np.float64))
    parts = watershed(height, markers, mask=piece).astype(np.int32)
    flood(parts, piece)
    edit = Collector(labels)
    edit.put_parts(box, by_size(parts))
    return edit.done()


def _necks(
    piece: NDArray[np.bool_], seeds: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Relief that is flat but for places narrower than those of the seeds."""
    depth = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1]
    return -np.minimum(depth, depth[seeds].min())


def pixels_within(pixels: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Those of the pixels (n, 2) that lie in the image."""
    return pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]


def _with_line(parts: NDArray[np.int32], barrier: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Parts with -1 on the barrier between them, and on crumbs that it cuts off."""
    lined = np.where(barrier & _several(parts), np.int32(-1), parts)
    for part in range(1, int(parts.max()) + 1):
        bits, count = ndimage.label(lined == part, np.ones((3, 3)))
        if count > 1:
            size = np.bincount(bits.ravel())
            size[0] = 0
            lined[(bits > 0) & (bits != size.argmax())] = -1
    return lined


def _several(parts: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels with two different parts (above 0) within one pixel around them."""
    high = ndimage.maximum_filter(parts, 3, mode="nearest")
    low = ndimage.minimum_filter(np.where(parts > 0, parts, high.max() + 1), 3, mode="nearest")
    return low < high


def _extended(labels: Labels, pixels: Pixels, reach: float) -> Pixels:
    """Lead both ends of a path on to the border of the grain that they lie in."""
    for _ in range(2):
        pixels = np.concatenate([pixels, _way_out(labels, pixels, reach)])[::-1]
    gap = pixels[-1] - pixels[0]
    inside = len(pixels_within(pixels[[0, -1]], labels.shape)) == 2
    if inside and np.abs(gap).max() > 1 and np.hypot(*gap) <= reach < len(pixels) / 4:
        pixels = np.concatenate([pixels, path_pixels(pixels[[-1, 0]].astype(float))[1:]])
    return pixels


def _way_out(labels: Labels, pixels: Pixels, reach: float) -> Pixels:
    """Pixels (n, 2) from the end of a path to the border near it, or none."""
    none = np.zeros((0, 2), dtype=np.int64)
    inside: NDArray[np.bool_] = np.all((pixels >= 0) & (pixels < labels.shape), axis=1)
    if not inside[-1]:
        return none
    tip = pixels[-1]
    grain = labels[tip[0], tip[1]]
    same = inside.copy()
    same[inside] = labels[pixels[inside, 0], pixels[inside, 1]] == grain
    other = np.flatnonzero(~same)
    depth = len(pixels) - (other[-1] + 1 if len(other) else 0)
    if grain == 0:
        return none
    pad = int(np.ceil(reach))
    offset = np.mgrid[-pad : pad + 1, -pad : pad + 1].reshape(2, -1).T
    distance = np.hypot(*offset.T)
    there = tip + offset
    outside = ~((there >= 0) & (there < labels.shape)).all(axis=1)
    seen = np.clip(there, 0, np.array(labels.shape) - 1)
    border = (outside | (labels[seen[:, 0], seen[:, 1]] != grain)) & (distance <= reach)
    ahead = (tip - pixels[-min(_TAIL, depth)]).astype(float)
    cosine = offset @ ahead / np.maximum(distance * np.hypot(*ahead), 1e-9)
    if len(other):
        # The path came from another grain: is this an end that is too short, or too long?
        border &= (depth >= 2 * distance) & (cosine > 0.5)
    if not border.any():
        return none
    # Straight ahead rather than sideways, sideways rather than back.
    effort = np.where(border, distance * (2 - cosine), np.inf)
    goal = there[effort.argmin()]
    return path_pixels(np.stack([tip, goal]).astype(float))[1:]
