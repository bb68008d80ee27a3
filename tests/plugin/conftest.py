"""A small polycrystal, a viewer model without a window, and a fit that takes no time."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_liso.acquisition import Acquisition
from napari_liso.diffusion.results import DiffusionFit, Estimate, Population
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.plugin import layers as ly
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.main import AllSteps

PIXEL = 0.5e-6  # m


@pytest.fixture(autouse=True)
def no_old_notifications() -> Iterator[None]:
    notification_manager.records.clear()
    yield
    notification_manager.records.clear()


@pytest.fixture(autouse=True)
def no_unsaved_work_of_others(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_LISO_UNSAVED", str(tmp_path_factory.mktemp("unsaved")))


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def grains_of_three() -> np.ndarray:
    """Three grains, 24 x 30 pixels: one on the left, two on the right."""
    grains = np.ones((24, 30), np.int32)
    grains[:12, 15:] = 2
    grains[12:, 15:] = 3
    return grains


def acquisition_of(
    shape: tuple[int, int] = (24, 30),
    pixel_size: tuple[float, float] | None = (PIXEL, PIXEL),
    frames: int = 1,
    names: tuple[str, str] = ("6Li", "7Li"),
) -> Acquisition:
    """Counts of about 40 and 60 a pixel and frame."""
    rng = np.random.default_rng(7)
    counts = np.stack([rng.poisson(40, (frames, *shape)), rng.poisson(60, (frames, *shape))])
    return Acquisition(
        counts=counts.astype(np.int64),
        channels=names,
        masses=np.array([6.0145, 7.0155]),
        pixel_size=pixel_size,
        metadata={"format": "test", "path": "map.test", "warnings": []},
    )


def fit_of(boundaries: Boundaries, permeability: list[float] | None = None) -> DiffusionFit:
    """A fit as the science returns it: the last boundary is unresolved, others resolved."""
    table = boundaries.table[["grain_a", "grain_b"]].copy()
    n = len(table)
    k = np.array(permeability or [10.0 ** -(8 - i) for i in range(n)])
    table["permeability"], table["permeability_lower"] = k, k / 1.5
    table["permeability_upper"] = k * 1.5
    table["verdict"] = pd.Series(["resolved"] * n, index=table.index, dtype=object)
    if n > 1:
        table.loc[table.index[-1], "verdict"] = "unresolved"
    table["information"], table["step"], table["biot"] = 0.9, 0.1, 0.2
    table["resistance"] = 1 / k
    shape = boundaries.grains.shape
    return DiffusionFit(
        table=table,
        diffusivity=Estimate(2.6e-12, 2.4e-12, 2.9e-12, "resolved"),
        population=Population(
            Estimate(3e-8, 2e-8, 4e-8, "resolved"), Estimate(0.8, 0.6, 1.1, "resolved")
        ),
        fraction=np.full(shape, 0.4),
        residual=np.zeros(shape),
        used=np.ones(shape, bool),
        dispersion=1.02,
        section="columnar",
        warnings=["The tracer has not reached 2 grains."],
        provenance={"note": "made by a test"},
        full_fraction=lambda: np.full(shape, 0.4),
    )


@dataclass
class FakeFit:
    """Stands for `fit_diffusion`; remembers what it was called with."""

    calls: list[dict[str, Any]]
    behave: Callable[[Callable[[float, str], None]], None] | None = None

    def __call__(self, n6: Any, n7: Any, grains: Any, **kwargs: Any) -> DiffusionFit:
        self.calls.append({"n6": n6, "n7": n7, "grains": grains, **kwargs})
        if self.behave is not None:
            self.behave(kwargs["progress"])
        kwargs["progress"](0.5, "half way")
        return fit_of(grains)


@pytest.fixture
def fake_fit(monkeypatch: pytest.MonkeyPatch) -> FakeFit:
    fake = FakeFit([])
    module = types.ModuleType("napari_liso.diffusion.fit")
    module.fit_diffusion = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return fake


def add_map(viewer: ViewerModel, **options: Any) -> None:
    """Put counts of both isotopes into a viewer."""
    for layer_data in ly.acquisition_layers(acquisition_of(**options)):
        ly.show(viewer, layer_data)


def add_grains(viewer: ViewerModel, grains: np.ndarray | None = None) -> None:
    """Put grains on a map of 0.5 um pixels into a viewer."""
    grains = grains_of_three() if grains is None else grains
    ly.show(viewer, ly.grains_layer(grains, ly.Placement.of_pixel_size((PIXEL, PIXEL))))


def add_boundaries(viewer: ViewerModel, grains: np.ndarray | None = None) -> Boundaries:
    """Put boundaries of three grains into a viewer, and return them."""
    found = find_boundaries(grains_of_three() if grains is None else grains, PIXEL)
    placement = ly.Placement.of_pixel_size(found.pixel_size)
    ly.show(viewer, ly.boundaries_layer(found, placement))
    return found


def warned() -> list[str]:
    """Return the warnings that napari showed."""
    return [str(n.message) for n in notification_manager.records if str(n.severity) == "warning"]


def snapshot(viewer: ViewerModel) -> list[tuple[str, bytes, bool]]:
    """Return what must not change when an input is refused."""
    return [(x.name, np.asarray(x.data).tobytes(), x.visible) for x in viewer.layers]


@pytest.fixture
def dock(viewer: ViewerModel, qtbot: Any) -> AllSteps:
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    return dock


def finish(qtbot: Any, task: Task) -> None:
    """Wait until a computation has delivered its outcome."""
    qtbot.waitUntil(lambda: not task.running, timeout=20_000)
