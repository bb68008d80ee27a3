"""Counts that stay in their own file: what to read, how, and where to look for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition, Spectrum
from napari_liso.errors import FormatError
from napari_liso.readers._lazy import LazyCounts

__all__ = ["EMBEDDED_BYTES", "CountsFile", "Finder", "is_embedded", "link_of", "linked_counts"]

#: Lazy counts without a file of their own are embedded up to this size, bytes.
EMBEDDED_BYTES = 2**30

#: From the path that a session remembers to the one where the file is now.
Finder = Callable[[str], Path | None]


@dataclass(frozen=True, eq=False)
class CountsFile:
    """A measurement's own files, and how its counts were read from them.

    Parameters
    ----------
    paths
        Of the files, as they were.
    sha256
        Of the first file, as the reader found it.
    files
        Paths and checksums of several files that make up one measurement.
    windows
        (low, high) in u by name, or None.
    recalibrate
        Ions and where they are seen, in u, or None.
    shape, dtype
        Of the counts.
    sums
        (channel, y, x): all frames together, or None where the file is needed for
        the spectrum alone.
    """

    paths: tuple[str, ...]
    sha256: str
    files: tuple[tuple[str, str], ...]
    windows: dict[str, Any] | None
    recalibrate: dict[str, Any] | None
    shape: tuple[int, int, int, int]
    dtype: str
    sums: NDArray[Any] | None = None


def is_embedded(acquisition: Acquisition) -> bool:
    """Tell whether the counts themselves go into the session.

    Counts that were read as a whole do. Those of long measurements, which are made frame
    by frame from their file, stay there.
    """
    return not isinstance(acquisition.counts, LazyCounts)


def link_of(acquisition: Acquisition, sums: bool) -> CountsFile | None:
    """Return how to read an acquisition again; None if it is from no file that is known."""
    facts = acquisition.metadata
    path, sha256 = facts.get("path"), facts.get("sha256")
    if not isinstance(path, str) or not isinstance(sha256, str):
        return None
    files = [(str(one["path"]), str(one["sha256"])) for one in facts.get("files", ())]
    paths = [one for one, _ in files] if len(files) > 1 else [path]
    scale = facts.get("recalibration")
    shape = tuple(int(n) for n in acquisition.counts.shape)
    made = None
    if sums:
        made = np.stack([acquisition[channel] for channel in acquisition.channels])
    return CountsFile(
        paths=tuple(paths),
        sha256=sha256,
        files=tuple(files),
        windows=facts.get("windows"),
        recalibrate=scale and {peak["ion"]: peak["observed_u"] for peak in scale["peaks"]},
        shape=shape,  # type: ignore[arg-type]
        dtype=str(np.dtype(acquisition.counts.dtype)),
        sums=made,
    )


class _Source:
    """A file that is read when it is needed, once, and held against what is remembered."""

    def __init__(self, link: CountsFile, find: Finder) -> None:
        self.link, self.find = link, find
        self._read: Acquisition | None = None
        self._lock = Lock()

    def acquisition(self) -> Acquisition:
        """Return the measurement.

        Raises
        ------
        FileNotFoundError, FormatError
            If the file has gone, or is not the one that was.
        """
        with self._lock:
            if self._read is None:
                self._read = self._open()
            return self._read

    def missing(self) -> str:
        """Say which file is not where it was; ``""`` if all are there."""
        gone = [path for path in self.link.paths if self.find(path) is None]
        return f"{', '.join(gone)} cannot be found. {_NEW_PLACE}" if gone else ""

    def _open(self) -> Acquisition:
        from napari_liso.readers import read

        missing = self.missing()
        if missing:
            raise FileNotFoundError(missing)
        link = self.link
        places = [str(self.find(path)) for path in link.paths]
        found = read(
            places if len(places) > 1 else places[0],
            {name: (low, high) for name, (low, high) in link.windows.items()}
            if link.windows
            else None,
            link.recalibrate,
        )
        other = found.metadata.get("sha256") != link.sha256 or [
            one["sha256"] for one in found.metadata.get("files", ())
        ] != [sha256 for _, sha256 in link.files]
        if other:
            raise FormatError(
                places[0],
                "is not the file that the session was made from: its SHA-256 differs. Put the "
                f"original back. {_NEW_PLACE}",
            )
        same = tuple(found.counts.shape) == link.shape
        if not (same and str(np.dtype(found.counts.dtype)) == link.dtype):
            raise FormatError(
                places[0],
                f"is read as counts of {tuple(found.counts.shape)} now and was read as "
                f"{link.shape} when the session was saved. Open it anew",
            )
        return found


_NEW_PLACE = (
    "Give its new place, as load(path, sources=folder), or put it beside the session's file"
)


class LinkedCounts(LazyCounts):
    """Counts in the file of the measurement; their sums over the frames are at hand."""

    reads_file = False  # the source says itself what is wrong with its file

    def __init__(self, source: _Source) -> None:
        self._source = source
        link = source.link
        super().__init__(link.shape, np.dtype(link.dtype), self._image, link.sums)

    def _image(self, channel: int, frame: int) -> NDArray[Any]:
        return np.asarray(self._source.acquisition().counts[channel, frame])

    @property
    def missing(self) -> str:
        """What is not where it was, and what to do; ``""`` if nothing."""
        return self._source.missing()


class LinkedSpectrum:
    """The spectrum in the file of the measurement."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def __call__(self) -> Spectrum:
        """Read it."""
        return self._source.acquisition().spectrum()


def linked_counts(acquisition: Acquisition, link: CountsFile, find: Finder) -> Acquisition:
    """Return an acquisition whose counts, or whose spectrum, are in a file of their own.

    Parameters
    ----------
    acquisition
        With counts, or without where the link has their sums.
    link
        To the file.
    find
        Where it is now.
    """
    source = _Source(link, find)
    spectrum = acquisition.spectrum_source is not None
    return replace(
        acquisition,
        counts=LinkedCounts(source) if link.sums is not None else acquisition.counts,
        spectrum_source=LinkedSpectrum(source) if spectrum else None,
        metadata=_moved(acquisition.metadata, find),
    )


def finder(session: Path, sources: Mapping[str, str | Path] | str | Path | None) -> Finder:
    """Return where to look for a file: where it was told to be, was, or beside the session."""

    def find(path: str) -> Path | None:
        name = path.replace("\\", "/").rstrip("/").split("/")[-1]
        places = [Path(path), session.parent / name]
        if isinstance(sources, Mapping):
            places = [*(Path(sources[key]) for key in (path, name) if key in sources), *places]
        elif sources is not None:
            told = Path(sources)
            places = [told / name if told.is_dir() and told.name != name else told, *places]
        return next((place for place in places if place.exists()), None)

    return find


def _moved(metadata: dict[str, Any], find: Finder) -> dict[str, Any]:
    """Return facts with the places where the files are now."""

    def place(path: Any) -> Any:
        now = find(path) if isinstance(path, str) else None
        return path if now is None or now == Path(path) else str(now)

    facts = {**metadata, "path": place(metadata.get("path"))}
    if "files" in facts:
        facts["files"] = [{**one, "path": place(one["path"])} for one in facts["files"]]
    return facts
