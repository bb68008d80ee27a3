"""The counts of one measurement and what is known about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Acquisition"]

Spectrum = tuple[NDArray[np.float64], NDArray[np.integer[Any]]]


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Counts per channel, frame and pixel, with their provenance.

    Parameters
    ----------
    counts
        Integer array, or an array-like with ``shape``, ``dtype`` and indexing,
        of shape (channel, frame, y, x); row 0 is the top as a person sees it.
        Float only where the file holds no counts; ``metadata["counts_are"]``
        then says what they are.
    channels
        Name of each channel, such as ``"6Li"``; unique.
    masses
        Mass of each channel in u, shape (channel,); NaN where unknown.
    pixel_size
        (y, x) in m, or None where the file does not say. Never a guess.
    pulses
        Primary-ion pulses behind every entry, broadcastable to
        (frame, y, x), or None where unknown.
    metadata
        JSON-able facts: ``format``, ``path``, ``sha256``, ``counts_are``,
        ``warnings`` (list of str) and whatever the format tells.
    spectrum_source
        Function that returns the sum spectrum, for event formats.

    Raises
    ------
    ValueError
        If shapes or names do not fit together.
    """

    counts: Any
    channels: tuple[str, ...]
    masses: NDArray[np.float64]
    pixel_size: tuple[float, float] | None = None
    pulses: NDArray[Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    spectrum_source: Callable[[], Spectrum] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.counts.shape) != 4:
            raise ValueError(
                f"counts must be (channel, frame, y, x), got shape {tuple(self.counts.shape)}"
            )
        if len(self.channels) != self.counts.shape[0]:
            raise ValueError(
                f"{len(self.channels)} channel names for {self.counts.shape[0]} channels"
            )
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channel names are not unique: {self.channels}")
        masses = np.asarray(self.masses, dtype=np.float64)
        if masses.shape != (len(self.channels),):
            raise ValueError(f"masses must have one entry a channel, got shape {masses.shape}")
        object.__setattr__(self, "masses", masses)
        if self.pixel_size is not None:
            y, x = (float(v) for v in self.pixel_size)
            if not (0 < y < np.inf and 0 < x < np.inf):
                raise ValueError(f"pixel_size must be positive metres, got {self.pixel_size}")
            object.__setattr__(self, "pixel_size", (y, x))

    def __getitem__(self, channel: str) -> NDArray[Any]:
        """Return the (y, x) image of a channel, all frames summed.

        Raises
        ------
        KeyError
            If there is no such channel; the message lists those that exist.
        """
        if channel not in self.channels:
            raise KeyError(f"no channel {channel!r}; there are {', '.join(self.channels)}")
        return self._frame_sum(self.channels.index(channel), range(self.counts.shape[1]))

    def _frame_sum(self, channel: int, frames: range) -> NDArray[Any]:
        """Return the (y, x) sum of some frames in 64 bits."""
        # Lazy counts sum frame by frame and need no memory for the cube.
        lazy = getattr(self.counts, "frame_sum", None)
        if lazy is not None:
            return np.asarray(lazy(channel, frames))
        part = np.asarray(self.counts[channel])
        if frames != range(len(part)):
            part = part[list(frames)]
        dtype = np.int64 if part.dtype.kind in "iu" else np.float64
        return part.sum(axis=0, dtype=dtype)

    def sum(self, frames: slice | None = None) -> Acquisition:
        """Sum frames (all, or a slice of them) into an acquisition of one frame.

        Raises
        ------
        ValueError
            If the slice holds no frame.
        """
        frames = slice(None) if frames is None else frames
        indices = range(self.counts.shape[1])[frames]
        if len(indices) == 0:
            raise ValueError(f"{frames} selects none of the {self.counts.shape[1]} frames")
        channels = range(len(self.channels))
        sums = np.stack([self._frame_sum(channel, indices) for channel in channels])
        pulses = None
        if self.pulses is not None:
            every_frame = np.broadcast_to(self.pulses, self.counts.shape[1:])
            pulses = every_frame[frames].sum(axis=0, keepdims=True)
        note = {"frames_summed": [int(indices[0]), int(indices[-1]) + 1, indices.step]}
        return replace(
            self,
            counts=sums[:, np.newaxis],
            pulses=pulses,
            metadata={**self.metadata, **note},
        )

    def spectrum(self) -> Spectrum:
        """Return (mass in u, counts) of the sum spectrum on the native time grid.

        Raises
        ------
        ValueError
            If the file holds images only.
        """
        if self.spectrum_source is None:
            kind = self.metadata.get("format", "this source")
            raise ValueError(f"{kind} holds images of chosen peaks, no spectrum")
        return self.spectrum_source()
