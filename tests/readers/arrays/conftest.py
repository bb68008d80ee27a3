"""Counts that the tests of stacks share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def counts() -> np.ndarray:
    """Channel, frame, y, x; no two planes are alike."""
    rng = np.random.default_rng(3)
    return rng.poisson(2.0, (2, 3, 5, 7)).astype(np.uint16)
