"""A line that is being drawn: clicked points, pieces drawn by hand, the way to the mouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["DrawnPath", "Wire"]

Points = NDArray[np.float64]


class Wire(Protocol):
    """Finds the way along an image, as `napari_liso.microstructure.livewire.LiveWire` does."""

    def start(self, point: Points) -> None:
        """Begin a way at a point (y, x) in pixels."""

    def path_to(self, point: Points) -> Points:
        """Return the way (n, 2) from there to a point."""


@dataclass
class DrawnPath:
    """A line in pixels (y, x) that grows by clicks and by hand.

    Parameters
    ----------
    wire
        Finds the way between two clicks; None: a straight line.
    """

    wire: Wire | None = None
    pieces: list[Points] = field(default_factory=list)
    preview: Points = field(default_factory=lambda: np.empty((0, 2)))
    by_hand_only: bool = False  # one stroke: pressed, drawn and released
    _hand: list[Points] | None = None

    @property
    def begun(self) -> bool:
        """Whether there is a first point."""
        return bool(self.pieces)

    @property
    def anchors(self) -> Points:
        """The points that were set, (n, 2)."""
        return np.array([piece[-1] for piece in self.pieces]).reshape(-1, 2)

    def points(self) -> Points:
        """Return the line as it was set so far, (n, 2), no point twice in a row."""
        if not self.pieces:
            return np.empty((0, 2))
        line = np.concatenate(self.pieces)
        new = np.ones(len(line), dtype=bool)
        new[1:] = np.any(line[1:] != line[:-1], axis=1)
        return line[new]

    def click(self, point: Points) -> None:
        """Set a point: the first one, or the end of a piece along the image."""
        self.by_hand_only = False
        if not self.pieces:
            self._set(point[None])
        elif np.any(point != self.pieces[-1][-1]):
            self._set(self._way(point))

    def move(self, point: Points) -> None:
        """Show the way to the mouse."""
        if self.pieces and self._hand is None:
            self.preview = self._way(point)

    def press(self, point: Points) -> None:
        """Begin to draw by hand, from here or on from the last point."""
        self.by_hand_only = not self.pieces
        if not self.pieces:
            self._set(point[None])
        self._hand = [self.pieces[-1][-1], point]

    def drag(self, point: Points) -> None:
        """Draw on by hand."""
        if self._hand is not None:
            self._hand.append(point)
            self.preview = np.array(self._hand)

    def release(self, tremor: float = 0.0) -> None:
        """End a piece that was drawn by hand; `tremor` in pixels is smoothed away."""
        if self._hand is not None:
            hand, self._hand = self._hand, None
            line = np.array(hand)
            self._set(smooth(line, tremor) if tremor > 0 else line)

    def back(self) -> None:
        """Take back the point or stroke set last."""
        if self.pieces:
            self.pieces.pop()
            self._hand = None
            self.preview = np.empty((0, 2))
            if self.pieces and self.wire is not None:
                self.wire.start(self.pieces[-1][-1])

    def _set(self, piece: Points) -> None:
        self.pieces.append(piece)
        self.preview = np.empty((0, 2))
        if self.wire is not None:
            self.wire.start(piece[-1])

    def _way(self, point: Points) -> Points:
        last = self.pieces[-1][-1]
        if self.wire is None:
            return np.stack([last, point])
        way = np.asarray(self.wire.path_to(point), dtype=np.float64)
        return np.concatenate([last[None], way, point[None]])


def smooth(line: Points, width: float) -> Points:
    """Take the tremor of a hand out of a line; its ends stay.

    Parameters
    ----------
    line
        (n, 2), in pixels.
    width
        Length over which it is averaged, in pixels.

    Returns
    -------
    ndarray
        (m, 2), points at equal distances of `width` / 4 or less.
    """
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] <= 2 * width:
        return line
    count = 2 + int(np.ceil(4 * along[-1] / width))
    even = np.linspace(0.0, along[-1], count)
    out = np.stack([np.interp(even, along, line[:, k]) for k in (0, 1)], axis=1)
    half = max(1, round(width / 2 / (even[1] - even[0])))
    # mirrored through the ends, which so stay where they are
    head, tail = 2 * out[0] - out[half:0:-1], 2 * out[-1] - out[-2 : -half - 2 : -1]
    longer = np.concatenate([head, out, tail])
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    return np.stack([np.convolve(longer[:, k], kernel, mode="valid") for k in (0, 1)], axis=1)
