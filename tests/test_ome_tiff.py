"""OME-TIFF: read back by tifffile, by our reader, and as XML by ElementTree alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

import napari_liso as liso
from napari_liso.ome_tiff import NAMESPACE, Channel, ome_type, provenance_in, write_ome_tiff

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
RNG = np.random.default_rng(4)
COUNTS = RNG.poisson(300, (2, 5, 12, 17))


class Lazy:
    """A stack that makes its frames when asked, and never becomes an array."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data
        self.shape, self.dtype = data.shape, data.dtype
        self.made = 0

    def __getitem__(self, frame: int) -> np.ndarray:
        assert isinstance(frame, int)
        self.made += 1
        return self._data[frame]


def xml_of(path: Path) -> ElementTree.Element:
    """The OME-XML as any program finds it: the description of the first page."""
    with tifffile.TiffFile(path) as file:
        text = file.pages[0].tags["ImageDescription"].value
    assert text.rstrip().endswith("</OME>")
    return ElementTree.fromstring(text)


def test_stacks_of_counts_are_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "map.ome.tif"
    channels = [Channel("6Li", COUNTS[0]), Channel("7Li µ<&>", COUNTS[1])]
    assert write_ome_tiff(path, channels, (0.4e-6, 0.25e-6)) == path
    found = liso.read(path)
    assert found.channels == ("6Li", "7Li µ<&>")
    assert np.array_equal(np.asarray(found.counts), COUNTS)
    assert found.pixel_size == pytest.approx((0.4e-6, 0.25e-6), rel=1e-12)
    assert found.metadata["counts_are"] == "raw"
    assert found.metadata["format"] == "OME-TIFF"
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "CTYX"
        assert np.array_equal(file.asarray(), COUNTS)


def test_metadata_follow_the_schema(tmp_path: Path) -> None:
    """Elements, their order and their attributes as the schema of 2016-06 has them."""
    path = tmp_path / "map.ome.tif"
    write_ome_tiff(
        path,
        [Channel("6Li", COUNTS[0]), Channel("7Li", COUNTS[1])],
        (0.4e-6, 0.25e-6),
        description="counts",
        provenance={"made": np.arange(3)},
    )
    root = xml_of(path)
    assert root.tag == f"{OME}OME"
    assert [child.tag for child in root] == [f"{OME}Image", f"{OME}StructuredAnnotations"]
    image = root.find(f"{OME}Image")
    assert [child.tag for child in image] == [
        f"{OME}{tag}" for tag in ("Description", "Pixels", "AnnotationRef")
    ]
    assert image.get("Name") == "map"
    pixels = image.find(f"{OME}Pixels")
    facts = dict(pixels.attrib)
    assert facts.pop("ID") == "Pixels:0"
    assert facts == {
        "DimensionOrder": "XYZTC",
        "Type": "uint16",
        "SizeX": "17",
        "SizeY": "12",
        "SizeZ": "1",
        "SizeC": "2",
        "SizeT": "5",
        "PhysicalSizeX": "0.25",
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": "0.4",
        "PhysicalSizeYUnit": "µm",
    }
    assert [child.tag for child in pixels] == [
        f"{OME}{tag}" for tag in ("Channel", "Channel", "TiffData")
    ]
    assert [c.get("Name") for c in pixels.iter(f"{OME}Channel")] == ["6Li", "7Li"]
    assert pixels.find(f"{OME}TiffData").attrib == {"IFD": "0", "PlaneCount": "10"}
    note = root.find(f"{OME}StructuredAnnotations/{OME}CommentAnnotation")
    assert note.get("ID") == image.find(f"{OME}AnnotationRef").get("ID")
    assert note.get("Namespace") == NAMESPACE
    assert json.loads(note.find(f"{OME}Value").text) == {"made": [0, 1, 2]}
    assert provenance_in(path) == {"made": [0, 1, 2]}


def test_unknown_pixel_size_is_not_written(tmp_path: Path) -> None:
    path = write_ome_tiff(tmp_path / "a.ome.tif", [Channel("6Li", COUNTS[0])])
    pixels = xml_of(path).find(f".//{OME}Pixels")
    assert not [key for key in pixels.attrib if key.startswith("Physical")]
    assert liso.read(path).pixel_size is None
    assert provenance_in(path) is None


def test_nan_and_every_bit_of_floats_stay(tmp_path: Path) -> None:
    data = RNG.uniform(size=(7, 9)).astype(np.float32)
    data[2, 3], data[0, 0] = np.nan, np.inf
    path = write_ome_tiff(tmp_path / "f.ome.tif", [Channel("fraction", data)], (1e-7, 1e-7))
    found = tifffile.imread(path)
    assert found.dtype == np.float32
    assert found.tobytes() == data.tobytes()
    assert xml_of(path).find(f".//{OME}Pixels").get("Type") == "float"


@pytest.mark.parametrize("colours", [3, 4])
def test_colours(tmp_path: Path, colours: int) -> None:
    data = RNG.integers(0, 255, (8, 9, colours)).astype(np.uint8)
    path = write_ome_tiff(tmp_path / "rgb.ome.tif", [Channel("hue", data, rgb=True)])
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "YXS"
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert np.array_equal(file.asarray(), data)
    pixels = xml_of(path).find(f".//{OME}Pixels")
    assert (pixels.get("SizeC"), pixels.get("Interleaved")) == (str(colours), "true")
    assert pixels.find(f"{OME}Channel").get("SamplesPerPixel") == str(colours)


def test_lazy_stacks_are_written_frame_by_frame(tmp_path: Path) -> None:
    lazy = Lazy(COUNTS[0].astype(np.uint16))
    path = write_ome_tiff(tmp_path / "lazy.ome.tif", [Channel("6Li", lazy)])
    assert np.array_equal(tifffile.imread(path), COUNTS[0])
    assert lazy.made == 5


def test_four_axes_are_times_and_depths(tmp_path: Path) -> None:
    data = RNG.integers(0, 99, (2, 3, 4, 5)).astype(np.uint8)
    path = write_ome_tiff(tmp_path / "tz.ome.tif", [Channel("a", data)])
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "TZYX"
        assert np.array_equal(file.asarray(), data)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 255], np.int64, "uint8"),
        ([0, 256], np.int64, "uint16"),
        ([0, 70_000], np.uint64, "uint32"),
        ([-1, 200], np.int64, "int16"),
        ([0, 2**40], np.int64, "float64"),
        ([0, 7], np.int32, "int32"),
        ([0.5, 1], np.float16, "float32"),
        ([False, True], bool, "uint8"),
    ],
)
def test_types_hold_every_value(values: Any, dtype: Any, expected: str, tmp_path: Path) -> None:
    data = np.array([values], dtype)
    assert ome_type([Channel("a", data)]).name == expected
    path = write_ome_tiff(tmp_path / "t.ome.tif", [Channel("a", data)])
    assert np.array_equal(tifffile.imread(path), data.astype(expected))
    assert np.array_equal(tifffile.imread(path).astype(dtype), data)


def test_channels_of_several_types_share_one_that_holds_both() -> None:
    small, large = np.array([[3]], np.uint8), np.array([[-5]], np.int16)
    assert ome_type([Channel("a", small), Channel("b", large)]).name == "int16"
    real, whole = np.array([[0.5]], np.float32), np.array([[2**25 + 1]], np.int64)
    assert ome_type([Channel("a", real), Channel("b", whole)]).name == "float64"


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], "no image"),
        ([Channel("a", np.zeros((3, 4))), Channel("b", np.zeros((4, 3)))], "one shape"),
        ([Channel("a", np.zeros((3, 4), complex))], "complex128"),
        ([Channel("a", np.zeros(3))], "no image"),
        ([Channel("a", np.zeros((0, 3)))], "no image"),
        ([Channel("a", np.array([[2**60 + 1]]))], "exactly"),
        ([Channel("a", np.zeros((3, 4, 3), np.uint8), True)] * 2, "file of its own"),
    ],
)
def test_refused(channels: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_ome_tiff(tmp_path / "a.ome.tif", channels)
    assert not list(tmp_path.iterdir())


def test_provenance_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON-able"):
        write_ome_tiff(tmp_path / "a.tif", [Channel("a", COUNTS[0])], provenance={"a": object()})
    with pytest.raises(ValueError, match="positive"):
        write_ome_tiff(tmp_path / "a.tif", [Channel("a", COUNTS[0])], (0.0, 1e-6))


def test_a_failed_write_leaves_the_former_file(tmp_path: Path) -> None:
    class Breaks(Lazy):
        def __getitem__(self, frame: int) -> np.ndarray:
            if frame == 3:
                raise OSError("the disk has gone")
            return super().__getitem__(frame)

    path = tmp_path / "a.ome.tif"
    write_ome_tiff(path, [Channel("6Li", COUNTS[0])])
    before = path.read_bytes()
    with pytest.raises(OSError, match="disk has gone"):
        write_ome_tiff(path, [Channel("6Li", Breaks(COUNTS[1].astype(np.uint16)))])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.tif"]


def test_characters_that_xml_lacks_are_left_out(tmp_path: Path) -> None:
    path = write_ome_tiff(
        tmp_path / "a.ome.tif",
        [Channel("6\x00Li\x1b", COUNTS[0])],
        provenance={"note": "bell \x07 and µ"},
    )
    assert xml_of(path).find(f".//{OME}Channel").get("Name") == "6Li"
    assert provenance_in(path) == {"note": "bell \x07 and µ"}
