"""What a check of the data found, in numbers and in plain words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["BAD", "DOUBTFUL", "GOOD", "UNKNOWN", "Finding"]

GOOD = "good"
DOUBTFUL = "doubtful"
BAD = "bad"
UNKNOWN = "unknown"

_NAN = float("nan")


@dataclass(frozen=True)
class Finding:
    """One finding about the data.

    Parameters
    ----------
    name
        What was looked at.
    verdict
        ``"good"``, ``"doubtful"`` (look into it), ``"bad"`` (a result would be
        wrong) or ``"unknown"`` (the data cannot tell).
    text
        What was found, what it means, and what to do, in plain words.
    value, lower, upper
        The number behind it and the ends of its interval; NaN where there is none.
    """

    name: str
    verdict: str
    text: str
    value: float = _NAN
    lower: float = _NAN
    upper: float = _NAN

    def __post_init__(self) -> None:
        if self.verdict not in (GOOD, DOUBTFUL, BAD, UNKNOWN):
            raise ValueError(f"there is no verdict {self.verdict!r}")

    def describe(self) -> dict[str, Any]:
        """Return it in JSON-able words; numbers that are not there are None."""
        words = asdict(self)
        return {k: None if v != v else v for k, v in words.items()}
