"""What every test needs: settings that are nobody's, and the shared data."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Before napari or matplotlib is imported: no test may touch a user's settings
# or open a window through pyplot.
os.environ.setdefault(
    "NAPARI_CONFIG", str(Path(tempfile.mkdtemp(prefix="napari-liso-")) / "settings.yaml")
)
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of instrument files and reference maps that lies beside the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of reference data (../shared/data) is not here")
    return folder
