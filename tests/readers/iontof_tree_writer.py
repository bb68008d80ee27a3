"""Writes block trees as ION-TOF's files are publicly described; shares nothing with the reader."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def u32(*values: int) -> bytes:
    return b"".join(int(v).to_bytes(4, "little") for v in values)


def u64(value: int) -> bytes:
    return int(value).to_bytes(8, "little")


def f64(value: float) -> bytes:
    return np.array([value], "<f8").tobytes()


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


class Leaf:
    """A value; `packed` writes it as a compressed leaf, `kind` overrides the type byte."""

    def __init__(self, name: str, value: bytes, number: int = 0, packed: bool = False) -> None:
        self.name, self.number = name, number
        self.kind = 0x80 if packed else 0
        self.value = zlib.compress(value, 3) if packed else value
        self.at = -1

    def blocks(self) -> list[Leaf | Folder]:
        return [self]

    def size(self) -> int:
        return 25 + len(self.name.encode()) + len(self.value)


class Folder:
    """A directory; `part` entries go into each of its blocks."""

    def __init__(
        self, name: str, content: Sequence[Leaf | Folder], number: int = 0, part: int = 10**9
    ) -> None:
        self.name, self.number, self.part = name, number, part
        self.content = list(content)
        self.at = -1
        self.parts_at: list[int] = []
        self.kind = 1

    def groups(self) -> list[list[Leaf | Folder]]:
        starts = range(0, max(1, len(self.content)), self.part)
        return [self.content[s : s + self.part] for s in starts]

    def value(self, place: int) -> bytes:
        """The list of one block, the names behind it shared by equal names."""
        group = self.groups()[place]
        names = list(dict.fromkeys(item.name.encode() for item in group))
        at, position = {}, 41 + 33 * len(group)
        for name in names:
            at[name] = position
            position += len(name)
        following = self.parts_at[place + 1] if place + 1 < len(self.parts_at) else 0
        list_of = b"".join(
            bytes([item.kind])
            + u32(
                at[item.name.encode()],
                len(item.name.encode()),
                item.number,
                int(isinstance(item, Leaf)),
            )
            + u64(item.size() - 25 - len(item.name.encode()))
            + u64(item.at)
            for item in group
        )
        start = u32(41 + 33 * len(group), len(group))
        start += (b"\3\x19\0\0\0" if following else bytes(5)) + bytes(20) + u64(following)
        return start + list_of + b"".join(names)

    def size(self) -> int:
        return sum(self.part_size(n) for n in range(len(self.groups())))

    def part_size(self, place: int) -> int:
        group = self.groups()[place]
        names = {item.name.encode() for item in group}
        return 25 + len(self.name.encode()) + 41 + 33 * len(group) + sum(map(len, names))


def write(path: Path, content: Sequence[Leaf | Folder]) -> list[int]:
    """Write a file; return the byte at which each block begins."""
    root = Folder("root", content)
    position = 8
    order: list[tuple[Leaf | Folder, int]] = []
    placed: set[int] = set()

    def place(item: Leaf | Folder) -> None:
        """Give a block its place; one that is listed twice is written once."""
        nonlocal position
        if id(item) in placed:
            return
        placed.add(id(item))
        item.at = position
        if isinstance(item, Leaf):
            order.append((item, 0))
            position += item.size()
            return
        item.parts_at = []
        for number in range(len(item.groups())):
            item.parts_at.append(position)
            order.append((item, number))
            position += item.part_size(number)
        for inner in item.content:
            place(inner)

    place(root)
    offsets = []
    with open(path, "wb") as file:
        file.write(b"ITStrF01")
        for item, number in order:
            offsets.append(file.tell())
            name = item.name.encode()
            if isinstance(item, Leaf):
                kind, entries, value = item.kind, 0, item.value
                assert file.tell() == item.at
            else:
                kind, entries = (3 if number else 1), len(item.groups()[number])
                value = item.value(number)
                assert file.tell() == item.parts_at[number]
            head = bytes([kind])
            head += u32(25, len(name), item.number, entries, len(value), len(value))
            file.write(head + name + value)
    return offsets


def bomb(size: int) -> bytes:
    """About a thousandth of `size` bytes that inflate to zeros of that size."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush each piece stands alone and may be repeated.
    again = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + again * (size // 2**20 - 1) + packer.flush()


# -- what the measurements are made of --------------------------------------------------


def prop(key: str, integer: int = 0, number: float = 0.0, text: str = "") -> Leaf:
    """A property of the instrument."""
    wide, said = utf16(key), utf16(text)
    value = bytes(16) + u32(len(wide)) + wide + bytes(2)
    value += int(integer).to_bytes(8, "little", signed=True) + f64(number) + u32(len(said)) + said
    return Leaf(key, value)


def at_path(path: str, *content: Leaf | Folder) -> Folder:
    """Folders inside each other."""
    *outer, last = path.split("/")
    found = Folder(last, content)
    for name in reversed(outer):
        found = Folder(name, [found])
    return found


def interval(
    place: int, number: int, desc: str, assign: str, masses: Sequence[float], serial: str = ""
) -> Folder:
    """A peak as chosen in the software."""
    lower, centre, upper = masses
    return Folder(
        "mi",
        [
            Leaf("id", u32(number)),
            Leaf("desc", utf16(desc)),
            Leaf("assign", utf16(assign)),
            Leaf("SN", utf16(serial or f"{{SERIAL-{number}}}")),
            Leaf("lmass", f64(lower)),
            Leaf("cmass", f64(centre)),
            Leaf("umass", f64(upper)),
        ],
        number=place,
    )


PEAKS = (
    ("total", "", (0.0, 50.0, 100.0)),
    ("sum of rest", "", (0.0, 50.0, 100.0)),
    ("", "6Li+", (6.0, 6.0151, 6.05)),
    ("", "7Li+", (7.0, 7.016, 7.05)),
)


def intervals(peaks: Sequence[tuple[str, str, Sequence[float]]] = PEAKS) -> Folder:
    return Folder(
        "MassIntervalList",
        [interval(n, n, desc, assign, m) for n, (desc, assign, m) in enumerate(peaks)],
    )


def settings(
    scans: int,
    side: int,
    shots: int | None = 3,
    polarity: str = "Positive",
    fov: float = 50e-6,
    where: str = "propend",
) -> Folder:
    found = [
        prop("Registration.Raster.Resolution", side, side, f"{side}"),
        prop("Registration.Raster.FieldOfView", 0, fov, f"{fov * 1e6:g} um"),
        prop("Instrument.Analyzer_Polarity_Switch", 0, 0.0, polarity),
        prop("Measurement.ScanNumber", scans, scans, f"{scans}"),
        prop("Instrument.PrimaryGun.Species", 0, 0.0, "Bi3++"),
        prop("Instrument.PrimaryGun.Energy", 30000, 30000.0, "30 keV"),
        prop("Measurement.CycleTime", 0, 100e-6, "100 us"),
        prop("Registration.TimeResolution", 0, 50e-12, "50 ps"),
    ]
    if shots is not None:
        found.append(prop("Registration.Raster.ShotsPerPixel", shots, shots, f"{shots}"))
    return Folder(where, found)


def si_image(height: int, width: int, fov: float = 50e-6) -> Folder:
    return at_path(
        "Meta/SI Image",
        Leaf("res_x", u32(width)),
        Leaf("res_y", u32(height)),
        Leaf("fieldofview", f64(fov)),
        Leaf("intensdata", np.zeros(height * width, "<f4").tobytes(), packed=True),
    )


def mass_scale(sf: float, k0: float) -> Folder:
    return Folder("MassScale", [Leaf("sf", f64(sf)), Leaf("k0", f64(k0))])


def spectrum_folder(
    sf: float, k0: float, data: np.ndarray | None, corrected: np.ndarray
) -> Folder:
    parts = [Leaf("CorrectedData", corrected.astype("<f4").tobytes(), packed=True)]
    if data is not None:
        parts.append(Leaf("Data", data.astype("<f4").tobytes(), packed=True))
    return at_path(
        "Spectrum/Reduced Data",
        Folder("IMassScaleSFK0", [Leaf("sf", f64(sf)), Leaf("k0", f64(k0))]),
        Folder("IITFSpecArray", parts),
    )


def image_stack(cube: np.ndarray | None, sums: np.ndarray | None, pulses: int = 0) -> Folder:
    """Images of older files: `cube` (channel, scan, y, x), `sums` (channel, y, x), row 0 = top."""
    content: list[Leaf | Folder] = []

    def leaf(image: np.ndarray, number: int = 0) -> Leaf:
        upside_down = np.flipud(image).astype("<u4").tobytes()
        return Leaf("ImageArray.Long", upside_down, number, packed=True)

    if cube is not None:
        channels, scans, height, width = cube.shape
        content.append(
            Folder(
                "ImageStackScans",
                [
                    Leaf("Image.XSize", u32(width)),
                    Leaf("Image.YSize", u32(height)),
                    Leaf("Image.NumberOfImages", u32(channels)),
                    Leaf("Image.NumberOfScans", u32(scans)),
                    *(
                        Folder("Image", [leaf(i, s) for s, i in enumerate(stack)], number, part=3)
                        for number, stack in enumerate(cube)
                    ),
                ],
            )
        )
        content.append(Leaf("NumberOfScans", u32(scans)))
    if sums is not None:
        more = [Leaf("Image.PulsesPerPixel", u32(pulses))] if pulses else []
        added: list[Leaf | Folder] = [
            Folder("Image", [leaf(image), *more], number) for number, image in enumerate(sums)
        ]
        content.append(Folder("ImageStackScansAdded", added))
    return at_path("ImageStack/Reduced Data", *content)


def serial_images(cube: np.ndarray, serials: Sequence[str]) -> Folder:
    """Images of newer files, by the serial number of the peak."""

    def raw(image: np.ndarray) -> bytes:
        return np.flipud(image).astype("<u4").tobytes()

    folders = [
        Folder(
            serial,
            [
                at_path(
                    "ScanData/EDROff",
                    *(Leaf(f"{n}", raw(image), packed=True) for n, image in enumerate(stack)),
                ),
                Folder("SumImage", [Leaf("EDROff", raw(stack.sum(0)), packed=True)]),
            ],
        )
        for serial, stack in zip(serials, cube, strict=True)
    ]
    return at_path("ImageStack/Reduced Data", Folder("Images", folders))


def ita(path: Path, cube: np.ndarray, spectrum: np.ndarray | None = None) -> list[int]:
    """A whole ITA file of SurfaceLab 6; `cube` (channel, scan, y, x), row 0 = top."""
    _, scans, height, width = cube.shape
    tof: list[Leaf | Folder] = [image_stack(cube, cube.sum(axis=1))]
    if spectrum is not None:
        tof.append(spectrum_folder(1000.0, 50.0, spectrum, spectrum * 1.001))
    return write(
        path,
        [
            si_image(height, width),
            Folder("filterdata", [Folder("TofCorrection", tof)]),
            intervals(),
            mass_scale(1000.0, 50.0),
            settings(scans, width),
        ],
    )


def pixel_words(height: int, width: int, x: int, y: int, ions: Sequence[int]) -> list[int]:
    """The words of one pixel; `y` counts from the bottom."""
    mark = [x + 0xC0000000, y + 0xD0000000, (y * width + x) + 0x40000000]
    return mark + [int(ion) for ion in ions]


def scan_words(ions: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """The words of one scan from the flight times by row (0 = top) and column."""
    height, width = len(ions), len(ions[0])
    words: list[int] = []
    for y in range(height):
        for x in range(width):
            words += pixel_words(height, width, x, y, ions[height - 1 - y][x])
    return np.array(words, "<u4")


def random_scans(
    seed: int, scans: int, height: int, width: int, times: np.ndarray, mean: float = 2.0
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Random ions, fast also for many: (words of each scan, scan, flat pixel, channel of each).

    Flat pixels count rows from the top.
    """
    rng = np.random.default_rng(seed)
    words, frame, pixel, channel = [], [], [], []
    size = height * width
    y, x = np.divmod(np.arange(size), width)
    for scan in range(scans):
        number = rng.poisson(mean, size)
        start = np.concatenate([[0], np.cumsum(number + 3)])
        stream = np.zeros(start[-1], np.uint32)
        mark = start[:-1]
        stream[mark] = x + 0xC0000000
        stream[mark + 1] = y + 0xD0000000
        stream[mark + 2] = np.arange(size) + 0x40000000
        is_ion = np.ones(len(stream), bool)
        for word in range(3):
            is_ion[mark + word] = False
        ions = rng.choice(times, number.sum())
        stream[is_ion] = ions
        words.append(stream)
        frame.append(np.full(len(ions), scan))
        pixel.append(np.repeat((height - 1 - y) * width + x, number))
        channel.append(ions)
    return words, np.concatenate(frame), np.concatenate(pixel), np.concatenate(channel)


def raw_data(
    scans: Sequence[np.ndarray], leaf: int = 10**9, part: int = 5, end: bool = True
) -> Folder:
    """Raw events; `leaf` words go into each compressed leaf, wherever that cuts."""
    content: list[Leaf | Folder] = [Leaf("   2", b"")]
    number = 0
    for scan, words in enumerate(scans):
        content.append(Leaf("   6", u32(scan), scan))
        for start in range(0, len(words), leaf):
            content.append(Leaf("   7", u64(number), number))
            raw = words[start : start + leaf].astype("<u4").tobytes()
            content.append(Leaf("  14", raw, number, packed=True))
            number += 1
    if end:
        content.append(Leaf("   3", b"\1"))
    return Folder("rawdata", content, part=part)


def itm(
    path: Path,
    scans: Sequence[np.ndarray],
    height: int,
    width: int,
    leaf: int = 10**9,
    shots: int | None = 3,
    sf: float = 1000.0,
    k0: float = 50.0,
    part: int = 5,
) -> list[int]:
    """A whole ITM file of SurfaceLab 6."""
    return write(
        path,
        [
            si_image(height, width),
            mass_scale(sf, k0),
            settings(len(scans), width, shots, where="propstart"),
            raw_data(scans, leaf, part),
            intervals(),
            settings(len(scans), width, shots),
        ],
    )


def surfacelab7(
    path: Path, spectrum: np.ndarray | None, packed: bool, pickle: bytes | None = None
) -> list[int]:
    """An ITAX file of SurfaceLab 7, as far as that is publicly known."""
    properties = [
        prop("Registration.Raster.FieldOfView", 0, 500e-6, "500 um"),
        prop("Instrument.Analyzer.Polarity", 0, 0.0, "Negative"),
        prop("Context.MassScale.SF", 0, 1000.0, "1000"),
        prop("Context.MassScale.K0", 0, 50.0, "50"),
        prop("Analysis.Timestamp", 0, 0.0, "Tue Mar 24 10:11:12 2026"),
    ]
    view: list[Leaf | Folder] = [Folder("properties", properties)]
    if spectrum is not None:
        raw = spectrum.astype("<f8").tobytes()
        view += [
            Leaf("sizeSpectrum", u32(len(spectrum))),
            at_path(
                "dataSource/simsDataCache/spectrum", Leaf("correctedData", raw, packed=packed)
            ),
        ]
    options: list[Leaf | Folder] = [
        Folder("massintervals", [interval(0, 2, "", "7Li-", (6.9, 7.016, 7.1))])
    ]
    if pickle is not None:
        options.append(Leaf("pickle", pickle))
    return write(
        path,
        [
            Folder(
                "CommonDataObjects",
                [
                    Folder("DataViewCollection", [Folder("{GUID-\u00b5}", view, 77)]),
                    Folder("MeasurementOptions", [Folder("{GUID-2}", options, 3)]),
                ],
            )
        ],
    )
