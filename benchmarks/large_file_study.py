"""Open event files that are larger than the memory they may take.

    python benchmarks/large_file_study.py [GB]        (default 0.5)

Writes a PHI .raw and an ION-TOF GRD of that size, 1024 x 1024 pixels and 200
frames, opens each in a process of its own with windows for 6Li and 7Li, and
prints the seconds, the peak memory above that of the idle process and the
images asked for, and how long one frame takes, as a slider asks for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE, FRAMES = 1024, 200
SLOPE, OFFSET = 0.38, -1.58  # sqrt(u)/us and sqrt(u)
SF, K0 = 32_966.0, -361.0  # of a channel
MASSES = np.array([1.0073, 6.0146, 7.0155, 22.9892, 44.98, 138.906])
SHARES = np.array([0.2, 0.05, 0.2, 0.15, 0.2, 0.2])
POOL = 2**20

PROBE = """
import json, resource, sys, time
import numpy as np
import napari_liso as liso
from napari_liso.readers import peaks  # loaded before the measurement
from napari_liso.readers.phi import raw as phi_raw
from napari_liso.readers.iontof import grd
path, windows = sys.argv[1], {"6Li": (5.99, 6.04), "7Li": (6.98, 7.05)}
unit = 1 if sys.platform == "darwin" else 1024
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
start = time.perf_counter()
acq = liso.read(path, windows=windows)
opened = time.perf_counter() - start
images = [acq[name] for name in acq.channels]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
steps = []
for frame in range(3, 200, 7):
    start = time.perf_counter()
    acq.counts[1, frame]
    steps.append(time.perf_counter() - start)
print(json.dumps({
    "opened_s": opened, "memory_GB": (peak - idle - sum(i.nbytes for i in images)) / 2**30,
    "step_ms": [1e3 * float(np.median(steps)), 1e3 * max(steps)], "7Li": int(images[1].sum()),
}))
"""


def pool(time_of: Callable[[np.ndarray], np.ndarray], width: float) -> tuple[np.ndarray, ...]:
    """Return flight times, x and y of events to write again and again."""
    rng = np.random.default_rng(0)
    ions = rng.choice(len(MASSES), POOL, p=SHARES)
    times = np.rint(time_of(MASSES[ions]) + rng.normal(0, width, POOL)).astype(np.uint64)
    x, y = rng.integers(0, SIDE, (2, POOL), dtype=np.uint64)
    return times, x, y


def write_phi(path: Path, size: int) -> int:
    """Write a PHI .raw of `size` bytes; return its 7Li counts."""
    times, x, y = pool(lambda m: (np.sqrt(m) - OFFSET) / SLOPE * 1e6, 900.0)
    events = times | np.uint64(1 << 31) | (x << np.uint64(32)) | (y << np.uint64(43))
    lithium = inside(times, lambda t: (SLOPE * t * 1e-6 + OFFSET) ** 2)
    header = (
        f"SOFH\r\nInstrumentModel: study\r\nSecIonPolarity: +\r\nImagePixels: {SIDE}\r\n"
        f"Mass/Time: {SLOPE}\r\nMassOffset: {OFFSET}\r\nNoFrames: {FRAMES}\r\n"
        "HeaderSize: 20000\r\n"
        "[PHI LMIG]\r\nRaster Size (um)=100.0\r\nEOFH\r\n"
    )
    per_frame = size // 8 // FRAMES
    total = 0
    with path.open("wb") as file:
        file.write(header.encode().ljust(20000, b"\0"))
        for _ in range(FRAMES):
            for start in range(0, per_frame, POOL):
                n = min(POOL, per_frame - start)
                file.write(block(1, 8 * n))
                file.write(events[:n].tobytes())
                total += int(lithium[n])
            file.write(block(2, 0))
        file.write(block(0, 0))
    return total


def block(kind: int, size: int) -> bytes:
    return kind.to_bytes(2, "little") + bytes(10) + size.to_bytes(4, "little")


def write_grd(path: Path, size: int) -> int:
    """Write a GRD and its properties; return its 7Li counts."""
    times, x, y = pool(lambda m: SF * np.sqrt(m) + K0, 12.0)
    lithium = inside(times, lambda t: ((t - K0) / SF) ** 2)
    records = np.zeros((POOL, 5), "<u4")
    records[:, 2], records[:, 3], records[:, 4] = x, y, times
    per_frame = size // 20 // FRAMES
    total = 0
    with path.open("wb") as file:
        for scan in range(FRAMES):
            records[:, 0] = scan
            for start in range(0, per_frame, POOL):
                n = min(POOL, per_frame - start)
                file.write(records[:n].tobytes())
                total += int(lithium[n])
    rows = {
        "Context.MassScale.SF": SF,
        "Context.MassScale.K0": K0,
        "Registration.Raster.Resolution": SIDE,
        "Registration.Raster.FieldOfView": 1e-4,
        "Instrument.Analyzer_Polarity_Switch": "positive",
    }
    text = "".join(f"{name}\t0\t{value}\r\n" for name, value in rows.items())
    path.with_suffix("").with_suffix(".properties.txt").write_text(text, encoding="utf-8")
    return total


def inside(times: np.ndarray, mass: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return how many of the first n events lie in the window of 7Li."""
    m = mass(times.astype(float))
    return np.concatenate([[0], np.cumsum((m >= 6.98) & (m < 7.05))])


def main() -> None:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 0.5) * 1e9)
    print("format    GB  open (s)  s/GB  peak (GB)  one frame (ms): median, worst")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("map.raw", write_phi), ("map.itm.grd", write_grd)):
            path = Path(folder) / name
            expected = write(path, size)
            done = subprocess.run(
                [sys.executable, "-c", PROBE, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout)
            assert found["7Li"] == expected, (found["7Li"], expected)
            gb = path.stat().st_size / 1e9
            median, worst = found["step_ms"]
            opened = found["opened_s"]
            print(
                f"{path.suffix:5} {gb:6.2f} {opened:9.1f} {opened / gb:5.1f} "
                f"{found['memory_GB']:10.2f} {median:22.0f}, {worst:5.0f}"
            )
            path.unlink()


if __name__ == "__main__":
    main()
