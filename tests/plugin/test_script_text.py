"""The script of a map, run on real files, makes exactly what the layer shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

import napari_liso as liso
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured
from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import give_pulses
from napari_liso.plugin.frames.behind import choose_frames
from napari_liso.plugin.widgets.main import RatioDock
from napari_liso.plugin.widgets.ratio.panel import RatioPanel

from .conftest import add_map, finish


def panel_of(viewer: ViewerModel, acquisition: Any, qtbot: Any) -> RatioPanel:
    """Open a measurement and the dock."""
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.ratio.dock = dock
    return dock.ratio


def made(panel: RatioPanel, qtbot: Any) -> np.ndarray:
    """Make the map and return its data."""
    panel.compute()
    finish(qtbot, panel.task)
    layer = panel.map_layer()
    assert layer is not None, panel.message.text()
    return np.asarray(layer.data)


def run(script: str) -> Any:
    """Run a script and return its result, float32 like a layer."""
    names: dict[str, Any] = {}
    exec(compile(script, "script", "exec"), names)
    return names["result"].value.astype(np.float32)


@pytest.fixture
def stack(tmp_path: Path) -> str:
    """Six frames of both isotopes as a TIFF file that says what is what."""
    counts = np.random.default_rng(5).poisson(3, (6, 2, 12, 14)).astype(np.uint16)
    path = tmp_path / "map it's.ome.tif"
    tifffile.imwrite(path, counts, metadata={"axes": "TCYX", "Channel": {"Name": ["6Li", "7Li"]}})
    return str(path)


CORRECTIONS = Corrections(
    background=(Measured(0.4, 0.1, "off peak"), Measured(0.7, 0.05, "off peak")),
    hydride_ratio=Measured(0.03, 0.004, "layer '7LiH'"),
    fractionation=Measured(1.04, 0.01, "region 2"),
)


@pytest.mark.parametrize("pooling", ["bin", "window"])
@pytest.mark.parametrize("quantity", [0, 1, 2], ids=["fraction", "ratio", "delta"])
def test_options_and_corrections(
    quantity: int, pooling: str, stack: str, viewer: ViewerModel, qtbot: Any
) -> None:
    panel = panel_of(viewer, liso.read(stack), qtbot)
    panel.parts.quantity.quantity.setCurrentIndex(quantity)
    getattr(panel.parts.pooling, pooling).setValue(3)
    panel.parts.pooling.min_counts.setValue(4)
    panel.confidence.setValue(90)
    panel.context.set_corrections(CORRECTIONS)
    shown = made(panel, qtbot)
    script = panel.script()
    assert "Measured(0.03, 0.004, \"layer '7LiH'\")" in script
    assert np.array_equal(run(script), shown, equal_nan=True)
    assert np.isfinite(shown).any()


@pytest.mark.parametrize("shifts", [None, [(0, 0), (1, 0), (0, -2), (2, 1), (0, 0), (-1, 0)]])
@pytest.mark.parametrize("pulses", [None, 40])
def test_frames_shifts_and_pulses(
    shifts: Any, pulses: int | None, stack: str, viewer: ViewerModel, qtbot: Any
) -> None:
    acquisition = liso.read(stack)
    panel = panel_of(viewer, acquisition, qtbot)
    if pulses is not None:
        give_pulses(viewer, acquisition, pulses)
        acquisition = ly.acquisition_from_layer(viewer.layers["6Li"])
    choose_frames(viewer, acquisition, 1, 5, shifts)
    shown = made(panel, qtbot)
    assert np.array_equal(run(panel.script()), shown, equal_nan=True)
    plain = acquisition.counts.sum(axis=1)
    assert not np.allclose(shown, plain[0] / plain.sum(axis=0), equal_nan=True)


def test_windows_and_scale_of_a_spectrum(
    shared_data: Path, viewer: ViewerModel, qtbot: Any
) -> None:
    (path,) = (shared_data / "simsh5").glob("*.h5")
    windows = {"63Cu": (62.92, 62.945), "65Cu": (64.918, 64.943)}
    panel = panel_of(viewer, liso.read(str(path), windows), qtbot)
    shown = made(panel, qtbot)
    script = panel.script()
    assert "'63Cu': (62.92, 62.945)," in script
    assert np.array_equal(run(script), shown, equal_nan=True)


def test_counts_without_a_file_are_asked_for(
    tmp_path: Path, viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    for name in ("6Li", "7Li"):
        viewer.add_image(rng.poisson(4, (5, 6)), name=name)
        np.save(tmp_path / f"{name}.npy", viewer.layers[name].data)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    shown = made(dock.ratio, qtbot)
    script = dock.ratio.script()
    assert "# No file is behind these layers." in script
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(run(script), shown, equal_nan=True)


def test_there_is_no_script_before_there_is_a_map(viewer: ViewerModel, qtbot: Any) -> None:
    add_map(viewer)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    assert dock.ratio.script() == ""
    assert not dock.ratio.parts.script_button.isEnabled()
    made(dock.ratio, qtbot)
    assert dock.ratio.parts.script_button.isEnabled()
    # 'map.test' is where no file is
    assert "# The file is not there any more: say where it is." in dock.ratio.script()


def test_what_the_map_shows_is_in_the_script_not_what_is_chosen_meanwhile(
    stack: str, viewer: ViewerModel, qtbot: Any
) -> None:
    panel = panel_of(viewer, liso.read(stack), qtbot)
    shown = made(panel, qtbot)
    panel.live.setChecked(False)
    panel.bin.setValue(4)
    panel.context.set_corrections(CORRECTIONS)
    assert np.array_equal(run(panel.script()), shown, equal_nan=True)
