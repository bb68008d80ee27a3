"""Everything about a map in one file: counts, grains, boundaries, settings and results.

`save` writes a `Session`, whole or not at all; `load` gives it back as it was. The file
(``.liso``) is a zip of plain arrays and one JSON text, which other programs can read, too;
`napari_liso.session.archive` describes it. Nothing in it is executed.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from importlib.metadata import version
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.counting.corrections import Corrections
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.results import DiffusionFit
from napari_liso.errors import FormatError
from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.session.archive import (
    is_session,
    read_archive,
    read_description,
    write_archive,
)
from napari_liso.session.objects import SavedLayer, describe, maker
from napari_liso.session.sources import LinkedCounts, finder
from napari_liso.session.values import Packer, Unpacker

__all__ = ["SUFFIX", "SavedLayer", "Session", "is_session", "load", "save", "summary"]

SUFFIX = ".liso"


@dataclass(frozen=True, eq=False)
class Session:
    """All that is known about a map, to be saved in one file. Any part may be missing.

    Parameters
    ----------
    acquisition
        The counts. Counts that are made frame by frame from a large file stay there: the
        session keeps their sums, the file's path and SHA-256 and how it was read.
    grains
        Labels (y, x), as drawn.
    boundaries
        With states, notes and ids, those of removed ones included.
    experiment
        What was done to the sample.
    corrections
        Of the counts.
    fits
        Results by name.
    settings
        Of a fit or a viewer, JSON-able; arrays are allowed.
    provenance
        How all this came about, JSON-able.
    layers
        How a viewer showed it; made and used by the plugin.
    """

    acquisition: Acquisition | None = None
    grains: NDArray[np.integer[Any]] | None = None
    boundaries: Boundaries | None = None
    experiment: Experiment | None = None
    corrections: Corrections | None = None
    fits: Mapping[str, DiffusionFit] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[SavedLayer, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Files of counts that are not where they were, in words; sums are there all the same."""
        behind = [self.acquisition, *(layer.behind for layer in self.layers)]
        linked = [a.counts for a in behind if isinstance(a, Acquisition)]
        texts = [counts.missing for counts in linked if isinstance(counts, LinkedCounts)]
        return [text for text in dict.fromkeys(texts) if text]


_KINDS: dict[str, Any] = {
    "acquisition": Acquisition,
    "grains": np.ndarray,
    "boundaries": Boundaries,
    "experiment": Experiment,
    "corrections": Corrections,
}


def save(path: str | PathLike[str], session: Session) -> Path:
    """Write a session, whole or not at all.

    The file is written beside `path` and takes its place when the disk has all of it:
    whatever happens meanwhile, the old file or the new one is there.

    Parameters
    ----------
    path
        Of the file, usually ``.liso``; one that is there is replaced.
    session
        What is written.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ValueError
        If it holds something that a file cannot; the message says where.
    OSError
        If the file cannot be written; one that was there is then as before.
    """
    packer = Packer(describe)
    packed = {}
    for one in fields(Session):
        value = getattr(session, one.name)
        plain = dict(value) if isinstance(value, Mapping) else value
        packed[one.name] = packer.pack(plain, one.name)
    content = {
        "software": f"napari-liso {version('napari-liso')}",
        "saved": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pandas": pd.__version__,
        },
        "summary": _count(session),
        "objects": packer.objects,
        "session": packed,
    }
    return write_archive(Path(fspath(path)), content, packer.arrays)


def _count(session: Session) -> dict[str, Any]:
    """Return how much there is, and what it is called, for who asks before opening."""
    boundaries = session.boundaries
    there = 0 if boundaries is None else int((boundaries.table["state"] != "removed").sum())
    name = session.settings.get("name")
    return {
        "boundaries": there,
        "fits": len(session.fits),
        "layers": len(session.layers),
        "name": name if isinstance(name, str) else "",
    }


def summary(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what a file says about itself, without reading its arrays.

    Returns
    -------
    dict
        ``saved`` (ISO time), ``software``, ``version`` of the format, numbers of
        ``boundaries``, ``fits`` and ``layers``, and ``name``, from the settings.

    Raises
    ------
    FormatError, OSError
        As `load`.
    """
    head = read_description(Path(fspath(path)))
    counted = head.get("summary")
    about = {key: head.get(key) for key in ("saved", "software", "version")}
    return {**(counted if isinstance(counted, dict) else {}), **about}


def load(
    path: str | PathLike[str],
    sources: Mapping[str, str | Path] | str | Path | None = None,
) -> Session:
    """Read a session.

    Parameters
    ----------
    path
        Of the file. It is only read.
    sources
        Where files of counts are now, if they are not embedded and have moved: a folder, or
        a mapping from the old path, or the file's name, to the new path. They are also looked
        for beside the session.

    Returns
    -------
    Session
        As it was. Counts of large files are read when frames or spectra are asked for; if the
        file has gone or its SHA-256 differs, that raises an error that says so. `missing`
        tells beforehand.

    Raises
    ------
    FormatError
        If the file is no session, is damaged, or is from a newer version.
    OSError
        If it cannot be opened.
    """
    place = Path(fspath(path))
    head, arrays = read_archive(place)
    try:
        unpacker = Unpacker(arrays, head["objects"], maker(finder(place.resolve(), sources)))
        parts = {str(key): unpacker.unpack(one) for key, one in head["session"].items()}
        session = Session(**parts)
        _check(session)
    except _WRONG as error:
        text = str(error) or type(error).__name__
        raise FormatError(
            place, f"is damaged: what it describes does not fit together ({text})"
        ) from error
    return session


_WRONG = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError,
    MemoryError,
)  # fmt: skip


def _check(session: Session) -> None:
    for name, kind in _KINDS.items():
        value = getattr(session, name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name} is a {type(value).__name__}")
    for name in ("fits", "settings", "provenance"):
        if not isinstance(getattr(session, name), dict):
            raise ValueError(f"{name} is no table of names")
    if any(not isinstance(fit, DiffusionFit) for fit in session.fits.values()):
        raise ValueError("a result is no fit")
    layers = session.layers
    if not isinstance(layers, tuple) or any(not isinstance(x, SavedLayer) for x in layers):
        raise ValueError("layers are none")
