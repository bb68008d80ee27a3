"""A number with its standard error and where it is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Measured", "as_measured"]


@dataclass(frozen=True)
class Measured:
    """A quantity that was measured or assumed, with its standard error.

    Parameters
    ----------
    value
        Best estimate.
    error
        Standard error (one sigma), 0 where it is taken as exact.
    source
        Where it is from, in words for a person.

    Raises
    ------
    ValueError
        If the value is not a finite number, or the error negative or not finite.
    """

    value: float
    error: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        # Plain floats, whatever kind of number or array of one they come as: JSON knows no other.
        for name in ("value", "error"):
            object.__setattr__(self, name, _number(getattr(self, name)))
        if not np.isfinite(self.value):
            raise ValueError(f"a measured value must be finite, got {self.value}")
        if not (np.isfinite(self.error) and self.error >= 0):
            raise ValueError(f"a standard error must be finite and not negative, got {self.error}")

    def __float__(self) -> float:
        return float(self.value)

    def describe(self) -> dict[str, Any]:
        """Return it in JSON-able words."""
        return {"value": self.value, "error": self.error, "source": self.source}


def as_measured(value: float | Measured) -> Measured:
    """Return a plain number as one that is exact."""
    return value if isinstance(value, Measured) else Measured(value)


def _number(value: Any) -> float:
    """Return one number as a float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"a single number is needed, got {value!r}") from None
