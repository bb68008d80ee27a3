"""Examination of HDF5 files and zarr stores without a process of its own, for quick tests.

A test module asks for it with ``pytestmark = pytest.mark.usefixtures("examined_here")``.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from napari_liso.readers import _hdf5


@pytest.fixture
def examined_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `_hdf5.examine` work in this process; its answers still go by way of JSON."""

    def here(path: Path, module: str, limit: float) -> Any:
        return json.loads(json.dumps(importlib.import_module(module).validate(path)))

    if "apart" not in request.fixturenames:
        monkeypatch.setattr(_hdf5, "_examine_apart", here)


@pytest.fixture
def apart() -> None:
    """For tests in which files are examined in a process of its own, as they are in earnest."""
