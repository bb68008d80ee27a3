"""What is given to be read: pipes, and files that change once they are open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import bif_writer
import iontof_raw_writer
import iontof_tree_writer
import nanosims_writer
import numpy as np
import phi_raw_writer
import pytest
from hostile import bounded
from sims_h5_writer import write_archive

import napari_liso as liso
from napari_liso.readers import _lazy, _stream, recognise
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.probe import probe

RNG = np.random.default_rng(5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["a.raw", "a.imzML", "a.grd", "a.txt", "a.properties.txt"])
def test_pipes_are_not_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with bounded():
        assert recognise(path) is None
        with pytest.raises(liso.FormatError, match="pipe"):
            liso.read(path)
        with pytest.raises(OSError, match="no file"):
            list(probe(path))


def phi(path: Path) -> None:
    frames = phi_raw_writer.frames([phi_raw_writer.random_ions(n, 60) for n in range(3)])
    phi_raw_writer.write(path, phi_raw_writer.header(), frames, phi_raw_writer.end())


def grd(path: Path) -> None:
    events = [(scan, n, n % 16, n // 16, 87_000 + n) for scan in range(3) for n in range(200)]
    path.with_name("a.properties.txt").write_text(iontof_raw_writer.properties())
    path.write_bytes(iontof_raw_writer.grd(events))


def itzip(path: Path) -> None:
    events = [(scan, n, n % 16, n // 16, 87_000 + n) for scan in range(3) for n in range(200)]
    path.write_bytes(iontof_raw_writer.itzip(events, method=0))


def itm(path: Path) -> None:
    words, *_ = iontof_tree_writer.random_scans(1, 3, 5, 7, np.arange(2480, 2520))
    iontof_tree_writer.itm(path, words, 5, 7)


def ita(path: Path) -> None:
    peaks = len(iontof_tree_writer.PEAKS)
    iontof_tree_writer.ita(path, RNG.poisson(2.0, (peaks, 3, 5, 7)))


def bif(path: Path) -> None:
    peaks = [(1, 6.0, 5.9, 6.1), (2, 7.0, 6.9, 7.1)]
    path.write_bytes(bif_writer.bif6(peaks, RNG.poisson(2.0, (2, 5, 7))))


def nanosims(path: Path) -> None:
    counts = RNG.poisson(2.0, (3, len(nanosims_writer.ROWS), 8, 8)).astype(np.uint16)
    path.write_bytes(nanosims_writer.Image(counts).write())


WRITERS = (phi, grd, itzip, itm, ita, bif, nanosims)


@pytest.mark.parametrize("change", ["other", "shorter", "empty", "gone"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_files_that_change_are_never_shown_as_if_they_had_not(
    tmp_path: Path, write: Callable[[Path], None], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_lazy, _stream):
        monkeypatch.setattr(module, "PLAIN_BYTES", 10)
    path = tmp_path / "a.grd"
    write(path)
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts)
    first = np.array(acq.counts[0, 0])
    content = path.read_bytes()
    time.sleep(0.02)  # longer than the step of the file system's clock
    if change == "gone":
        path.unlink()
    else:
        other = content[:-8] + bytes(8)
        changed = {"other": other, "shorter": content[: len(content) // 2], "empty": b""}
        path.write_bytes(changed[change])
    last = acq.counts.shape[1] - 1
    for channel in range(1, len(acq.channels)):
        with pytest.raises(liso.FormatError, match=r"has changed|any more"):
            acq.counts[channel, last]
    if last:
        with pytest.raises(liso.FormatError, match=r"has changed|any more"):
            acq.counts[0, last]
        with pytest.raises(liso.FormatError, match=r"has changed|any more"):
            acq.sum(frames=slice(1, None))
    np.testing.assert_array_equal(acq.counts[0, 0], first)  # looked at before


def test_the_spectrum_of_another_archive_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_archive(path, {10_000_000: RNG.poisson(1.0, (2, 4, 4))})
    acq = liso.read(path)
    write_archive(path, {10_000_000: RNG.poisson(9.0, (2, 4, 4))})
    with pytest.raises(liso.FormatError, match="has changed"):
        acq.spectrum()
