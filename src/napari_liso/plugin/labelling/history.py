"""What each edit changed, in their order, and which outline each boundary has had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from napari_liso.microstructure.update import Patch

__all__ = ["History", "Outlines", "Step"]

#: As many steps as napari keeps of its own.
_STEPS = 100
#: Memory that the steps may take together, bytes; a person's edits take kilobytes.
_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Step:
    """One edit that can be undone.

    Parameters
    ----------
    what
        In words, for a tooltip: "Split grain 12".
    patch
        What it changed in the geometry; None if only states or notes.
    strokes
        How many steps of napari's own history of the grains layer it was.
    tables
        Boundaries table before and after; None if there is a patch.
    outlines
        Of the touched boundaries, before and after (`Outlines`).
    """

    what: str
    patch: Patch | None = None
    strokes: int = 0
    tables: tuple[pd.DataFrame, pd.DataFrame] | None = None
    outlines: tuple[dict[int, int], dict[int, int]] = ({}, {})

    @cached_property
    def nbytes(self) -> int:
        """Memory that it holds, roughly; asked for with every later edit."""
        if self.patch is not None:
            return self.patch.nbytes
        return sum(int(table.memory_usage().sum()) for table in self.tables or ())


@dataclass
class History:
    """Steps done and steps taken back; bounded in number and memory."""

    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)

    def push(self, step: Step) -> None:
        """Remember a new edit; what was taken back before cannot be redone any more."""
        self.undone.clear()
        self.done.append(step)
        while len(self.done) > 1 and (
            len(self.done) > _STEPS or sum(s.nbytes for s in self.done) > _BYTES
        ):
            del self.done[0]

    def clear(self) -> None:
        """Forget everything."""
        self.done.clear()
        self.undone.clear()


class Outlines:
    """A number for every outline that a boundary has had, 0 for the first.

    Two states of the boundaries show the same boundary in the same place where its
    numbers are equal: then a result for the one holds for the other.
    """

    def __init__(self) -> None:
        self._now: dict[int, int] = {}
        self._last = 0

    def renew(self, ids: Iterable[int]) -> tuple[dict[int, int], dict[int, int]]:
        """Give ids outlines that nothing else has had; return their numbers before and after."""
        self._last += 1
        before = {int(i): self._now.get(int(i), 0) for i in ids}
        after = dict.fromkeys(before, self._last)
        self._now.update(after)
        return before, after

    def put(self, numbers: dict[int, int]) -> None:
        """Give ids outlines that they had."""
        self._now.update(numbers)

    def numbers(self) -> dict[int, int]:
        """Return a copy of the numbers now; an id that is not there has 0."""
        return dict(self._now)

    def differ_from(self, then: dict[int, int]) -> frozenset[int]:
        """Return the ids whose outline is another one than at some time before."""
        ids = then.keys() | self._now.keys()
        return frozenset(i for i in ids if then.get(i, 0) != self._now.get(i, 0))
