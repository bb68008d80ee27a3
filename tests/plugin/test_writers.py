"""File > Save, through napari's own choice of a writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManager, write

import napari_liso as liso
from napari_liso.ome_tiff import Channel, provenance_in, write_ome_tiff
from napari_liso.plugin import layers as ly
from napari_liso.plugin.reader import read_layers

from .conftest import acquisition_of, add_boundaries, add_grains, add_map, grains_of_three, warned

OURS = "napari-liso"


@pytest.fixture(autouse=True)
def plugins() -> None:
    PluginManager.instance().discover()


def csv_of(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The header and the table of a file, read without our code."""
    header: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            header |= json.loads(line[2:])
    return header, pd.read_csv(path, comment="#")


class TestChoice:
    """Which writer napari takes."""

    @pytest.mark.parametrize("plugin", [None, OURS])
    def test_ome_tif_is_ours(self, viewer: ViewerModel, tmp_path: Path, plugin: Any) -> None:
        add_map(viewer)
        saved = viewer.layers[:1].save(str(tmp_path / "map.ome.tif"), plugin=plugin)
        assert saved == [str(tmp_path / "map.ome.tif")]
        assert provenance_in(saved[0])["layers"][0]["name"] == "6Li"

    def test_plain_suffixes_of_one_layer_stay_with_napari(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        """What people save today is saved as it is today, unless our writer is asked for."""
        add_map(viewer)
        add_grains(viewer)
        viewer.add_points([[1.0, 2.0]])
        for index, name in ((0, "counts.tif"), (2, "grains.tif"), (0, "bare"), (2, "bare_labels")):
            (saved,) = viewer.layers[index : index + 1].save(str(tmp_path / name))
            with tifffile.TiffFile(saved) as file:
                assert not file.is_ome
        (saved,) = viewer.layers[3:].save(str(tmp_path / "points.csv"))
        assert Path(saved).read_text().startswith("index,axis-0,axis-1")
        (saved,) = viewer.layers[:1].save(str(tmp_path / "ours.tif"), plugin=OURS)
        assert provenance_in(saved) is not None
        (saved,) = viewer.layers[3:].save(str(tmp_path / "ours.csv"), plugin=OURS)
        assert "y_um" not in csv_of(Path(saved))[1]
        assert csv_of(Path(saved))[0]["layer_type"] == "points"

    def test_saving_to_a_folder_stays_with_napari(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        add_map(viewer)
        add_grains(viewer)
        saved = viewer.layers.save(str(tmp_path / "folder"))
        assert {Path(p).name for p in saved} == {"6Li.tif", "7Li.tif", "Grains.tif"}

    def test_npe2_writes_without_a_viewer(self, viewer: ViewerModel, tmp_path: Path) -> None:
        add_map(viewer)
        data = [layer.as_layer_data_tuple() for layer in viewer.layers]
        saved = write(tmp_path / "map.ome.tif", data, plugin_name=OURS)
        assert liso.read(saved[0]).channels == ("6Li", "7Li")

    def test_suffix_is_added_where_the_dialog_gave_none(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        add_map(viewer)
        (writer,) = [
            w
            for w in PluginManager.instance().iter_compatible_writers(["image"])
            if w.command == "napari-liso.write_ome"
        ]
        assert viewer.layers[:1].save(str(tmp_path / "map"), _writer=writer) == [
            str(tmp_path / "map.ome.tif")
        ]
        with pytest.raises(FileExistsError, match=r"map\.ome\.tif would be replaced"):
            viewer.layers[:1].save(str(tmp_path / "map"), _writer=writer)


class TestImages:
    def test_isotopes_become_channels_of_one_file(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        add_map(viewer)
        saved = viewer.layers.save(str(tmp_path / "map.ome.tif"))
        assert saved == [str(tmp_path / "map.ome.tif")]
        found, original = liso.read(saved[0]), acquisition_of()
        assert found.channels == ("6Li", "7Li")
        assert found.pixel_size == pytest.approx((0.5e-6, 0.5e-6), rel=1e-12)
        for name in ("6Li", "7Li"):
            assert np.array_equal(found[name], original[name])

    def test_frames_stay_frames(self, viewer: ViewerModel, tmp_path: Path) -> None:
        original = acquisition_of(frames=4, pixel_size=(0.5e-6, 0.2e-6))
        for layer_data in ly.acquisition_layers(original, frames=True):
            ly.show(viewer, layer_data)
        (saved,) = viewer.layers.save(str(tmp_path / "map.ome.tif"))
        found = liso.read(saved)
        assert np.array_equal(np.asarray(found.counts), original.counts)
        assert found.channels == ("6Li", "7Li")  # of layers called "6Li scans"
        assert found.pixel_size == pytest.approx((0.5e-6, 0.2e-6), rel=1e-12)

    def test_kinds_make_files_of_their_own(self, viewer: ViewerModel, tmp_path: Path) -> None:
        add_map(viewer)
        add_grains(viewer)
        fraction = liso.isotope_fraction(acquisition_of()["6Li"], acquisition_of()["7Li"])
        placement = ly.Placement.of_layer(viewer.layers[0])
        ly.show(viewer, ly.fraction_layer(fraction, "6Li fraction", placement))
        saved = viewer.layers.save(str(tmp_path / "map.ome.tif"))
        names = {Path(p).name for p in saved}
        assert names == {
            "map 6Li + 7Li.ome.tif",
            "map 6Li fraction.ome.tif",
            "map Grains.ome.tif",
        }
        found = tifffile.imread(tmp_path / "map 6Li fraction.ome.tif")
        assert found.tobytes() == fraction.value.astype(np.float32).tobytes()
        grains = tifffile.imread(tmp_path / "map Grains.ome.tif")
        assert np.array_equal(grains, grains_of_three())
        # the dialog asked about map.ome.tif only
        with pytest.raises(FileExistsError, match="would be replaced"):
            viewer.layers.save(str(tmp_path / "map.ome.tif"))

    def test_provenance_and_place_are_kept(self, viewer: ViewerModel, tmp_path: Path) -> None:
        add_map(viewer)
        layer = viewer.layers[0]
        layer.translate = (3.0, 4.0)
        (saved,) = viewer.layers[:1].save(str(tmp_path / "map.ome.tif"))
        (facts,) = provenance_in(saved)["layers"]
        assert facts["made"]["role"] == "counts"
        assert facts["made"]["acquisition"]["path"] == "map.test"
        assert facts["translate"] == [3.0, 4.0]
        assert facts["scale"] == [0.5, 0.5]
        assert facts["units"] == ["micrometer", "micrometer"]
        assert warned() == []

    def test_a_turned_layer_is_written_as_it_is_and_that_is_told(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        add_map(viewer)
        layer = viewer.layers[0]
        turn = np.radians(30)
        layer.affine = 2 * np.array(
            [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 0.5]]
        )
        (saved,) = viewer.layers[:1].save(str(tmp_path / "map.ome.tif"))
        (warning,) = warned()
        assert "turned" in warning
        assert liso.read(saved).pixel_size == pytest.approx((1e-6, 1e-6))
        (facts,) = provenance_in(saved)["layers"]
        assert np.array(facts["affine"]) == pytest.approx(layer.affine.affine_matrix)
        with tifffile.TiffFile(saved) as file:
            assert "turned" in file.ome_metadata.split("</Description>")[0]

    def test_pixels_of_unknown_size_and_in_other_units(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        add_map(viewer, pixel_size=None)
        (saved,) = viewer.layers[:1].save(str(tmp_path / "a.ome.tif"))
        assert liso.read(saved).pixel_size is None
        viewer.layers[0].scale, viewer.layers[0].units = (250.0, 125.0), ("nm", "nm")
        (saved,) = viewer.layers[:1].save(str(tmp_path / "a.ome.tif"))
        assert liso.read(saved).pixel_size == pytest.approx((2.5e-7, 1.25e-7), rel=1e-12)

    def test_colours_and_multiscale(self, viewer: ViewerModel, tmp_path: Path) -> None:
        colours = np.random.default_rng(0).integers(0, 255, (10, 12, 3)).astype(np.uint8)
        viewer.add_image(colours, rgb=True, name="hue", scale=(0.1, 0.1), units=("um", "um"))
        full = np.arange(64, dtype=np.uint16).reshape(8, 8)
        viewer.add_image([full, full[::2, ::2]], multiscale=True, name="pyramid")
        (saved,) = viewer.layers[:1].save(str(tmp_path / "hue.ome.tif"))
        assert np.array_equal(tifffile.imread(saved), colours)
        (saved,) = viewer.layers[1:].save(str(tmp_path / "pyramid.ome.tif"))
        assert np.array_equal(tifffile.imread(saved), full)

    def test_what_cannot_be_held_is_refused_aloud(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        """Not with a ValueError, which napari takes for "no plugin could be found"."""
        viewer.add_image(np.array([[0, 2**60 + 1]]), name="huge", contrast_limits=(0, 1))
        with pytest.raises(OSError, match="do not fit any pixel type"):
            viewer.layers.save(str(tmp_path / "huge.ome.tif"))
        assert not list(tmp_path.iterdir())

    def test_numbers_that_json_lacks_are_words(self, viewer: ViewerModel, tmp_path: Path) -> None:
        record = ly.provenance("fraction", limit=float("inf"), lost=np.nan, of=Path("x"))
        viewer.add_image(np.ones((3, 4)), metadata={ly.PROVENANCE: record})
        (saved,) = viewer.layers.save(str(tmp_path / "a.ome.tif"))
        made = provenance_in(saved)["layers"][0]["made"]
        assert (made["limit"], made["lost"], made["of"]) == ("inf", "nan", "x")


class TestTables:
    def test_boundaries(self, viewer: ViewerModel, tmp_path: Path) -> None:
        found = add_boundaries(viewer)
        (saved,) = viewer.layers.save(str(tmp_path / "boundaries.csv"))
        header, table = csv_of(Path(saved))
        assert header["layer"] == "Grain boundaries"
        assert header["made"]["role"] == "boundaries"
        assert table["label"].tolist() == [1, 2, 3]  # not the background
        assert table["length_um"].to_numpy() == pytest.approx(
            found.table["length"].to_numpy() * 1e6, abs=1e-4
        )
        assert "area_um2" not in table

    def test_grains_get_their_areas(self, viewer: ViewerModel, tmp_path: Path) -> None:
        add_grains(viewer)
        (saved,) = viewer.layers.save(str(tmp_path / "grains.csv"), plugin=OURS)
        _, table = csv_of(Path(saved))
        assert table["label"].tolist() == [1, 2, 3]
        assert table["pixels"].tolist() == [24 * 15, 12 * 15, 12 * 15]
        assert table["area_um2"].to_numpy() == pytest.approx(table["pixels"] * 0.25)

    def test_points_are_where_they_lie_on_the_map(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        viewer.add_points(
            [[2.0, 3.0], [4.0, 8.0]],
            scale=(500.0, 500.0),
            translate=(1000.0, 0.0),
            affine=np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
            units=("nm", "nm"),
            features={"name": ["a", "b"], "y": [7, 8]},
        )
        (saved,) = viewer.layers.save(str(tmp_path / "points.csv"), plugin=OURS)
        _, table = csv_of(Path(saved))
        # in pixels (2, 3) -> (2000, 1500) nm, then y and x exchanged
        assert table["y_um"].tolist() == pytest.approx([1.5, 4.0])
        assert table["x_um"].tolist() == pytest.approx([2.0, 3.0])
        assert table["label"].tolist() == ["a", "b"]
        assert table["y_of_layer"].tolist() == [7, 8]

    def test_a_column_called_as_the_rows(self, viewer: ViewerModel, tmp_path: Path) -> None:
        # as the layers of landmarks have
        viewer.add_points([[1, 2], [3, 4]], features={"number": [7, 8]})
        (saved,) = viewer.layers.save(str(tmp_path / "marks.csv"), plugin=OURS)
        _, table = csv_of(Path(saved))
        assert table["number"].tolist() == [1, 2]
        assert table["number_of_layer"].tolist() == [7, 8]

    def test_shapes_and_several_layers(self, viewer: ViewerModel, tmp_path: Path) -> None:
        viewer.add_shapes(
            [[[0, 0], [0, 4], [2, 4], [2, 0]], [[1, 1], [5, 9]]],
            shape_type=["rectangle", "line"],
            features={"fraction": [0.25, np.nan]},
            name="Regions",
        )
        viewer.add_points([[1.0, 2.0]], name="Marks: a/b")
        saved = viewer.layers.save(str(tmp_path / "tables.csv"))
        assert [Path(p).name for p in saved] == ["tables Regions.csv", "tables Marks- a-b.csv"]
        _, table = csv_of(Path(saved[0]))
        assert table["shape"].tolist() == ["rectangle", "line"]
        assert table["middle_y_px"].tolist() == [1.0, 3.0]
        assert table["middle_x_px"].tolist() == [2.0, 5.0]
        assert table["fraction"].tolist() == pytest.approx([0.25, np.nan], nan_ok=True)

    def test_a_table_beside_an_image_of_its_name_does_not_rename_its_peaks(
        self, viewer: ViewerModel, tmp_path: Path
    ) -> None:
        add_map(viewer)
        viewer.layers.save(str(tmp_path / "map.ome.tif"))
        viewer.layers.clear()
        viewer.add_points([[1.0, 2.0]], features={"name": ["a"]})
        viewer.layers.save(str(tmp_path / "map.csv"), plugin=OURS)
        assert liso.read(tmp_path / "map.ome.tif").channels == ("6Li", "7Li")

    def test_no_points(self, viewer: ViewerModel, tmp_path: Path) -> None:
        viewer.add_points(np.zeros((0, 2)), name="none")
        (saved,) = viewer.layers.save(str(tmp_path / "none.csv"), plugin=OURS)
        assert len(csv_of(Path(saved))[1]) == 0


class TestBack:
    """What was saved and is opened again."""

    def test_layers_come_back_as_they_were(self, viewer: ViewerModel, tmp_path: Path) -> None:
        add_map(viewer)
        add_grains(viewer)
        grains = viewer.layers["Grains"]
        grains.affine = [[0.9, 0.2, 3.0], [-0.2, 0.9, 1.0], [0.0, 0.0, 1.0]]
        value = np.linspace(0, 1, 24 * 30, dtype=np.float32).reshape(24, 30)
        value[3, 4] = np.nan
        image = viewer.add_image(
            value, name="6Li fraction", scale=(0.5, 0.4), translate=(2, 3), units="um",
            colormap="inferno", contrast_limits=(0.1, 0.6),
        )  # fmt: skip
        colours = viewer.add_image(
            np.arange(24 * 30 * 3, dtype=np.uint8).reshape(24, 30, 3), rgb=True, name="hue",
            scale=(0.5, 0.4), units="um",
        )  # fmt: skip
        for layer in (grains, image, colours):
            path = tmp_path / f"{layer.name}.ome.tif"
            viewer.layers.selection = {layer}
            assert viewer.layers.save(str(path), selected=True)
            (back,) = viewer.open(path, plugin=OURS)
            assert type(back) is type(layer)
            np.testing.assert_array_equal(back.data, layer.data)
            assert back.name.startswith(layer.name)
            assert tuple(map(str, back.units)) == tuple(map(str, layer.units))
            for points in (np.zeros(2), np.array([7.0, 11.0])):
                assert back.data_to_world(points) == pytest.approx(layer.data_to_world(points))
        assert back.rgb
        assert viewer.layers["6Li fraction [1]"].contrast_limits == [0.1, 0.6]
        assert viewer.layers["6Li fraction [1]"].colormap.name == "inferno"

    def test_a_saved_fraction_is_no_counts(self, viewer: ViewerModel, tmp_path: Path) -> None:
        fraction = liso.isotope_fraction([[1, 2], [3, 4]], [[4, 3], [2, 1]])
        place = ly.Placement.of_pixel_size((1e-6, 1e-6))
        layer = ly.show(viewer, ly.fraction_layer(fraction, "6Li fraction", place))
        path = tmp_path / "a.ome.tif"
        layer.save(str(path))
        (back,) = viewer.open(path, plugin=OURS)
        record = back.metadata[ly.PROVENANCE]
        assert record["role"] == "saved"
        assert record["was"]["role"] == "fraction"

    def test_counts_come_back_as_a_measurement(self, viewer: ViewerModel, tmp_path: Path) -> None:
        add_map(viewer)
        viewer.layers[:2].save(str(tmp_path / "map.ome.tif"))
        back = viewer.open(tmp_path / "map.ome.tif", plugin=OURS)
        assert [ly.role_of(layer) for layer in back] == ["counts", "counts"]

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            (lambda record: record.update(type="points"), "type 'points'"),
            (lambda record: record.update(scale=["nan", 1.0]), "not finite"),
            (lambda record: record.update(affine="x"), "makes no sense"),
            (lambda record: record.update(units=7), "makes no sense"),
        ],
    )
    def test_a_record_that_makes_no_sense(self, tmp_path: Path, wrong: Any, told: str) -> None:
        record: dict[str, Any] = {
            "name": "a", "type": "image", "scale": [1.0, 1.0], "made": {"role": "fraction"},
        }  # fmt: skip
        wrong(record)
        path = tmp_path / "a.ome.tif"
        image = np.zeros((4, 5), np.float32)
        write_ome_tiff(path, [Channel("a", image)], provenance={"layers": [record]})
        with pytest.raises(liso.FormatError, match=told):
            read_layers(path)

    def test_planes_that_are_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a.ome.tif"
        records = [{"name": n, "type": "image", "scale": [1, 1], "made": {}} for n in "abc"]
        planes = [Channel(name, np.zeros((4, 5), np.float32)) for name in "ab"]
        write_ome_tiff(path, planes, provenance={"layers": records})
        with pytest.raises(liso.FormatError, match="2 planes for 3 layers"):
            read_layers(path)
