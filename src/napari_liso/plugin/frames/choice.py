"""Which frames of a measurement are used, and by how much each is shifted.

The choice is a fact given by hand: it is kept in the metadata of the acquisition,
as JSON-able words, and survives reading the file again with other mass windows.
The acquisition itself keeps all frames as they were measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.drift import align, covered
from napari_liso.readers._lazy import LazyCounts, channel_stack

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition

__all__ = [
    "BEFORE",
    "FRAMES_USED",
    "SHIFTS",
    "FrameChoice",
    "applied",
    "choice_before",
    "choice_facts",
    "choice_of",
    "chosen_pulses",
    "chosen_stack",
    "chosen_sum",
    "summed_pulses",
    "with_choice",
]

#: [start, stop] of the frames that are used, counted from 0, the stop not included.
FRAMES_USED = "frames_used"
#: [[dy, dx], ...] in whole pixels, of every frame of the file.
SHIFTS = "shifts"
#: The choice before the last one, for Undo.
BEFORE = "frames_before"

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class FrameChoice:
    """Frames that are used, and shifts of all frames.

    Parameters
    ----------
    start, stop
        Frames counted from 0, `stop` not included.
    shifts
        Whole pixels (dy, dx) of every frame of the file, or None where no frame
        is shifted.
    """

    start: int
    stop: int
    shifts: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def of(cls, start: int, stop: int, shifts: ArrayLike | None = None) -> FrameChoice:
        """Return a choice with shifts from an array, (frame, 2)."""
        pairs = None if shifts is None else np.asarray(shifts)
        if pairs is None or not pairs.any():
            return cls(int(start), int(stop))
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.all(pairs == np.rint(pairs)):
            raise ValueError("shifts must be pairs (dy, dx) of whole pixels, one a frame")
        return cls(int(start), int(stop), tuple((int(y), int(x)) for y, x in pairs.tolist()))

    @property
    def keep(self) -> slice:
        """The frames as a slice."""
        return slice(self.start, self.stop)

    def takes_all(self, frames: int) -> bool:
        """Tell whether it is all of so many frames, as they were measured."""
        return (self.start, self.stop, self.shifts) == (0, frames, None)

    def describe(self) -> dict[str, Any]:
        """Return it in JSON-able words."""
        shifts = None if self.shifts is None else [list(pair) for pair in self.shifts]
        return {FRAMES_USED: [self.start, self.stop], SHIFTS: shifts}

    def in_words(self, frames: int) -> str:
        """Return it in words for a person, who counts frames from 1; ``""`` for all."""
        if self.takes_all(frames):
            return ""
        words = f"frames {self.start + 1} to {self.stop} of {frames}"
        if self.stop - self.start == 1:
            words = f"frame {self.stop} of {frames}"
        if self.shifts is not None:
            furthest = int(np.abs(np.asarray(self.shifts[self.start : self.stop])).max())
            words += f", shifted by up to {furthest} px"
        return words


def choice_of(acquisition: Acquisition) -> FrameChoice:
    """Return which frames of an acquisition are used: all, where nothing was chosen."""
    return _from_record(acquisition.metadata, int(acquisition.counts.shape[1]))


def _from_record(record: dict[str, Any], frames: int) -> FrameChoice:
    start, stop = record.get(FRAMES_USED) or (0, frames)
    return FrameChoice.of(start, stop, record.get(SHIFTS))


def choice_before(acquisition: Acquisition) -> FrameChoice | None:
    """Return the choice before the present one, or None."""
    record = acquisition.metadata.get(BEFORE)
    return None if record is None else _from_record(record, int(acquisition.counts.shape[1]))


def choice_facts(acquisition: Acquisition) -> dict[str, Any]:
    """Return what the provenance of a layer says about its frames; nothing where all are used."""
    choice = choice_of(acquisition)
    return {} if choice.takes_all(acquisition.counts.shape[1]) else choice.describe()


def with_choice(
    acquisition: Acquisition, choice: FrameChoice, before: FrameChoice | None = None
) -> Acquisition:
    """Return an acquisition that remembers a choice of its frames.

    Parameters
    ----------
    acquisition
        Its counts stay as they are.
    choice
        Frames and shifts.
    before
        What Undo goes back to.

    Raises
    ------
    ValueError
        If there are no such frames, or not one shift for each of the file's frames.
    """
    frames = int(acquisition.counts.shape[1])
    if not 0 <= choice.start < choice.stop <= frames:
        raise ValueError(
            f"frames {choice.start + 1} to {choice.stop} cannot be used: the first must not be "
            f"after the last, and there are {frames}"
        )
    if choice.shifts is not None and len(choice.shifts) != frames:
        raise ValueError(f"{frames} frames need as many shifts, got {len(choice.shifts)}")
    facts = {
        key: value
        for key, value in acquisition.metadata.items()
        if key not in (FRAMES_USED, SHIFTS, BEFORE)
    }
    if not choice.takes_all(frames):
        facts.update(choice.describe())
    if before is not None:
        facts[BEFORE] = before.describe()
    return replace(acquisition, metadata=facts)


# --- counts and pulses of the chosen frames ---------------------------------------------------


def chosen_stack(acquisition: Acquisition, channel: int) -> Any:
    """Return (frame, y, x) of the chosen frames of a channel, shifted; lazy if the counts are."""
    choice = choice_of(acquisition)
    return align(channel_stack(acquisition.counts, channel), choice.shifts, choice.keep)


def chosen_sum(acquisition: Acquisition, channel: int, report: Report | None = None) -> Any:
    """Return the (y, x) sum of the chosen frames of a channel in 64 bits.

    Parameters
    ----------
    acquisition
        With its choice of frames.
    channel
        Number of the channel.
    report
        Is told the share that is done while frames are read; may raise.
    """
    if choice_of(acquisition).takes_all(acquisition.counts.shape[1]):
        return acquisition[acquisition.channels[channel]]
    stack = chosen_stack(acquisition, channel)
    if report is None and hasattr(stack, "frame_sum"):
        return stack.frame_sum()
    total = np.zeros(stack.shape[1:], np.int64 if stack.dtype.kind in "iu" else np.float64)
    for number in range(len(stack)):
        if report is not None:
            report(number / len(stack), f"summing frames of {acquisition.channels[channel]}")
        total += stack[number]
    return total


def chosen_pulses(acquisition: Acquisition) -> Any | None:
    """Return the pulses behind each entry of `chosen_stack`, 0 outside; None if unknown."""
    if acquisition.pulses is None:
        return None
    choice = choice_of(acquisition)
    shape = tuple(int(n) for n in acquisition.counts.shape[1:])
    every = np.broadcast_to(np.asarray(acquisition.pulses), shape)[choice.keep]
    shifts = None if choice.shifts is None else choice.shifts[choice.keep]
    return covered((len(every), shape[1], shape[2]), shifts, every)


def summed_pulses(acquisition: Acquisition) -> NDArray[Any] | None:
    """Return the (y, x) pulses behind the chosen frames together; None if unknown."""
    if acquisition.pulses is None:
        return None
    choice = choice_of(acquisition)
    frames, *image = (int(n) for n in acquisition.counts.shape[1:])
    pulses = np.asarray(acquisition.pulses)
    pulses = pulses.reshape((1,) * (3 - pulses.ndim) + pulses.shape)
    if choice.shifts is None:
        # one number for all frames is multiplied, not repeated in memory
        times = choice.stop - choice.start
        total = pulses.sum(0) * times if len(pulses) == 1 else pulses[choice.keep].sum(0)
        return np.broadcast_to(total, tuple(image))
    every = np.broadcast_to(pulses, (frames, *image))
    stack: Any = align(_Unread(every), choice.shifts, choice.keep)
    return np.asarray(stack.frame_sum(), pulses.dtype)


class _Unread:
    """Pulses behind the face of a lazy stack, so that shifted ones are never held all at once."""

    def __init__(self, pulses: NDArray[Any]) -> None:
        self._pulses = pulses
        self.shape, self.dtype = pulses.shape, pulses.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return self._pulses[key]


def applied(acquisition: Acquisition) -> Acquisition:
    """Return an acquisition that has the chosen frames, shifted, and no others."""
    choice = choice_of(acquisition)
    if choice.takes_all(acquisition.counts.shape[1]):
        return acquisition
    stacks = [chosen_stack(acquisition, i) for i in range(len(acquisition.channels))]
    counts: Any
    if all(isinstance(stack, np.ndarray) for stack in stacks):
        counts = np.stack(stacks)
    else:
        shape = (len(stacks), *stacks[0].shape)
        counts = LazyCounts(shape, stacks[0].dtype, lambda channel, f: stacks[channel][f])
    pulses = chosen_pulses(acquisition)
    facts = {
        k: v for k, v in acquisition.metadata.items() if k not in (FRAMES_USED, SHIFTS, BEFORE)
    }
    facts["frames_applied"] = choice.describe()
    return replace(
        acquisition,
        counts=counts,
        pulses=None if pulses is None else np.asarray(pulses),
        metadata=facts,
    )
