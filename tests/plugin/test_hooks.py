"""What napari calls: the reader, the samples and the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Layer
from npe2 import PluginManifest

from napari_liso import sample_data as science_samples
from napari_liso.plugin import sample_data
from napari_liso.plugin.reader import get_reader
from napari_liso.plugin.widgets.main import AllSteps
from napari_liso.units import from_um

# --- the reader ---


def test_an_archive_is_recognised_by_its_content(shared_data: Path, tmp_path: Path) -> None:
    (source,) = (shared_data / "simsh5").glob("*.h5")
    other_name = tmp_path / "renamed.bin"
    other_name.symlink_to(source)
    reader = get_reader(other_name)
    assert reader is not None
    ((data, arguments, kind),) = reader(str(source))
    layer = Layer.create(data, arguments, kind)
    assert layer.name == "total"
    assert layer.data.sum() == 174_405  # as the archive's origin states
    assert np.allclose(layer.scale, 80 / 256)
    assert str(layer.units[0]) == "micrometer"


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(500), b"II*\0", b"text"])
@pytest.mark.parametrize("name", ["x.h5", "x.tif"])
def test_foreign_and_damaged_files_are_declined(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert get_reader(str(path)) is None


@pytest.mark.parametrize(
    "path", ["/nowhere/x.h5", [], ["/nowhere/a.tif", "/nowhere/b.tif"], None, 3]
)
def test_the_hook_never_raises(path: object) -> None:
    assert get_reader(path) is None


def test_ordinary_tiff_files_are_left_to_napari(tmp_path: Path) -> None:
    for name, options in {
        "photo.tif": {},
        "stack.tif": {"imagej": True, "metadata": {"Labels": ["C1", "C2"]}},
    }.items():
        tifffile.imwrite(tmp_path / name, np.ones((2, 8, 8), np.uint16), **options)
        assert get_reader(str(tmp_path / name)) is None


def test_a_tiff_that_names_isotopes_is_read(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(5, (2, 8, 9)).astype(np.uint16)
    path = tmp_path / "map.ome.tif"
    tifffile.imwrite(
        path,
        counts,
        metadata={
            "axes": "CYX",
            "Channel": {"Name": ["6Li", "7Li"]},
            "PhysicalSizeX": 0.2,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.2,
            "PhysicalSizeYUnit": "µm",
        },
    )
    reader = get_reader(path)
    assert reader is not None
    layers = [Layer.create(*data) for data in reader(path)]
    assert [layer.name for layer in layers] == ["6Li", "7Li"]
    assert np.array_equal(layers[1].data, counts[1])
    assert np.allclose(layers[0].scale, 0.2)


def test_a_sidecar_makes_a_tiff_ours(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, np.ones((2, 8, 8), np.uint16))
    assert get_reader(path) is None
    (tmp_path / "map.csv").write_text("name\n6Li\n7Li\n")
    assert get_reader(path) is not None


def test_files_named_by_isotope_open_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"run1_{name}.tif" for name in ("6Li", "7Li")]
    for path in paths:
        tifffile.imwrite(path, np.ones((8, 8), np.uint16))
    reader = get_reader([str(path) for path in paths])
    assert reader is not None
    assert [arguments["name"] for _, arguments, _ in reader(paths)] == ["6Li", "7Li"]


# --- samples and manifest ---


def test_the_manifest_is_valid_and_all_that_it_names_exists(repository: Path) -> None:
    manifest = PluginManifest.from_file(repository / "src/napari_liso/napari.yaml")
    manifest.validate_imports()
    contributions = manifest.contributions
    assert [sample.display_name for sample in contributions.sample_data] == [
        "LLTO polycrystal (simulated)",
        "LLTO polycrystal, analysed",
        "Copper grid (PHI nanoTOF II)",
    ]
    assert {widget.display_name for widget in contributions.widgets} == {
        "Analyse isotope map",
        "Isotope ratio",
        "Label boundaries",
        "Mass windows",
        "Stitch fields",
        "Overlay microscope image",
    }
    assert {writer.command for writer in contributions.writers} == {
        "napari-liso.write_ome",
        "napari-liso.write_csv",
        "napari-liso.write_session",
    }


def test_the_copper_sample_is_the_real_one() -> None:
    layers = [Layer.create(*data) for data in sample_data.copper_grid()]
    assert [layer.name for layer in layers] == ["63Cu", "65Cu"]
    heavy, both = layers[1].data.sum(), sum(layer.data.sum() for layer in layers)
    error = np.sqrt(0.3085 * 0.6915 / both)
    assert abs(heavy / both - 0.3085) < 2 * error
    assert str(layers[0].units[0]) == "micrometer"


def test_the_simulated_sample_says_so_and_fills_the_form(viewer: ViewerModel, qtbot: Any) -> None:
    for data in sample_data.simulated_polycrystal():
        viewer.add_layer(Layer.create(*data))
    assert [layer.name for layer in viewer.layers] == ["6Li", "7Li", "Grains"]
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    assert "Simulated, not measured" in dock.data.notes.text()
    acquisition, _, experiment = science_samples.llto_polycrystal()
    assert dock.fit.form.experiment().describe() == experiment.describe()
    assert dock.fit.section.currentData() == "columnar"
    assert from_um(dock.fit.psf.value()) == pytest.approx(
        acquisition.metadata["truth"]["psf_fwhm"]
    )


@pytest.mark.slow
def test_the_analysed_sample_has_every_result_in_place(viewer: ViewerModel, qtbot: Any) -> None:
    for data in sample_data.analysed_polycrystal():
        viewer.add_layer(Layer.create(*data))
    names = [layer.name for layer in viewer.layers]
    assert {"6Li fraction", "Model fraction", "log10 k (m/s)", "Grain boundaries"} <= set(names)
    assert len({layer.units for layer in viewer.layers}) == 1
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    assert viewer.layers["log10 k (m/s)"].colorbar.visible
    fit = science_samples.llto_polycrystal_fit()
    assert dock.results.table.model().rowCount() == len(fit.table)
    assert all(step.status == "" for step in (dock.data, dock.ratio, dock.boundaries, dock.fit))
    dock.results.table.selectRow(0)
    assert dock.results.plot.axes.get_title().startswith("Boundary ")
