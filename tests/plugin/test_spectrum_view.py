"""The spectrum under a real mouse: edges, zoom, pan, keys; and its table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_liso.plugin.spectra.spectrum import SpectrumCurve
from napari_liso.plugin.widgets.spectra.spectrum_view import SpectrumView
from napari_liso.plugin.widgets.spectra.window_table import WindowTable

from .spectra import LI6, LI7, spectrum_of

WINDOWS = {"6Li": (6.0, 6.03), "7Li": (7.0, 7.03)}


@pytest.fixture
def view(viewer: ViewerModel, qtbot: Any) -> SpectrumView:
    view = SpectrumView(viewer)
    qtbot.addWidget(view)
    view.resize(400, 200)
    view.show_curve(SpectrumCurve(*spectrum_of()))
    view.show_windows(WINDOWS)
    view.look_at(5.8, 7.2)
    view.show()
    return view


def at(view: SpectrumView, mass: float) -> QPoint:
    return QPoint(round(view.frame().x(mass)), 90)


def drag(qtbot: Any, view: SpectrumView, start: QPoint, end: QPoint) -> None:
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    for share in (0.5, 1.0):
        qtbot.mouseMove(view, start + (end - start) * share)
        QApplication.processEvents()
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=end)


@pytest.mark.parametrize(("name", "side"), [("6Li", 0), ("6Li", 1), ("7Li", 0), ("7Li", 1)])
def test_an_edge_follows_the_mouse(view: SpectrumView, qtbot: Any, name: str, side: int) -> None:
    view.jump_to(name)
    told: list[tuple[str, float, float]] = []
    view.edge_dragged.connect(lambda *edge: told.append(edge))
    start = at(view, WINDOWS[name][side])
    end = start + QPoint(-25 if side == 0 else 25, 7)
    drag(qtbot, view, start, end)
    moved = list(WINDOWS[name])
    step = (view.range[1] - view.range[0]) / view.frame().plot_width
    moved[side] += (end - start).x() * step
    assert told[-1][0] == name
    assert told[-1][1:] == pytest.approx(moved, abs=1e-9)
    assert len(told) >= 2  # while it moved, not only at the end


def test_an_edge_never_passes_the_other(view: SpectrumView, qtbot: Any) -> None:
    view.jump_to("7Li")
    told: list[tuple[str, float, float]] = []
    view.edge_dragged.connect(lambda *edge: told.append(edge))
    drag(qtbot, view, at(view, 7.0), at(view, 7.0) + QPoint(300, 0))
    assert told[-1][1] < told[-1][2] == 7.03


def test_a_drag_beside_the_windows_pans(view: SpectrumView, qtbot: Any) -> None:
    start = at(view, 6.5)
    drag(qtbot, view, start, start + QPoint(50, 0))
    shift = 50 * 1.4 / view.frame().plot_width
    assert view.range == pytest.approx((5.8 - shift, 7.2 - shift))


def wheel(view: SpectrumView, x: float, turn: QPoint) -> None:
    place = QPointF(x, 90.0)
    event = QWheelEvent(
        place,
        QPointF(view.mapToGlobal(place.toPoint())),
        QPoint(),
        turn,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view, event)


def test_the_wheel_zooms_about_the_cursor(view: SpectrumView) -> None:
    x = view.frame().x(LI7)
    wheel(view, x, QPoint(0, 120))
    assert view.range[1] - view.range[0] == pytest.approx(1.4 / 1.25)
    assert view.frame().x(LI7) == pytest.approx(x)
    wheel(view, x, QPoint(0, -120))
    assert view.range == pytest.approx((5.8, 7.2))
    wheel(view, x, QPoint(-120, 0))
    assert view.range == pytest.approx((5.94, 7.34))
    for _ in range(60):
        wheel(view, x, QPoint(0, -120))
    low, high = view.curve.limits  # type: ignore[union-attr]
    assert view.range[0] <= low < high <= view.range[1] < 1.1 * high


def test_keys_do_what_the_mouse_does(view: SpectrumView, qtbot: Any) -> None:
    qtbot.keyClick(view, Qt.Key.Key_Plus)
    assert view.range[1] - view.range[0] == pytest.approx(1.4 / 1.25)
    qtbot.keyClick(view, Qt.Key.Key_Minus)
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.range == pytest.approx((5.94, 7.34))
    qtbot.keyClick(view, Qt.Key.Key_Home)
    assert view.range[1] > 138
    with qtbot.waitSignal(view.removed):
        qtbot.keyClick(view, Qt.Key.Key_Delete)


def test_clicks_pick_windows_and_double_clicks_want_new_ones(
    view: SpectrumView, qtbot: Any
) -> None:
    view.jump_to("6Li")
    with qtbot.waitSignal(view.picked) as picked:
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=at(view, LI6))
    assert picked.args == ["6Li"]
    with qtbot.waitSignal(view.wanted) as wanted:
        qtbot.mouseDClick(view, Qt.MouseButton.LeftButton, pos=at(view, 6.05))
    assert wanted.args[0] == pytest.approx(6.05, abs=1e-3)


def test_jumping_shows_the_window_with_room_on_both_sides(view: SpectrumView) -> None:
    view.jump_to("7Li")
    assert view.range[0] < 6.99
    assert view.range[1] > 7.04
    view.show_all_windows()
    assert view.range[0] < 6.0
    assert view.range[1] > 7.03


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("log", [True, False])
def test_peaks_and_windows_are_painted_in_the_theme(
    view: SpectrumView, viewer: ViewerModel, theme: str, log: bool
) -> None:
    viewer.theme = theme
    view.set_log(log)
    view.jump_to("7Li")
    image = view.grab().toImage()
    paper, ink = view.painter.paper, view.painter.ink
    assert (paper.lightness() < 128) == (theme == "dark")
    frame = view.frame()
    colours = {
        (x, y): image.pixelColor(x, y)
        for x in range(image.width())
        for y in range(0, image.height(), 3)
    }
    assert image.pixelColor(2, 100) == paper
    assert any(colour == ink for colour in colours.values())
    inside = image.pixelColor(round(frame.x(7.002)), 30)
    assert inside.red() - inside.blue() > 40  # orange


def test_an_empty_view_is_painted_too(viewer: ViewerModel, qtbot: Any) -> None:
    view = SpectrumView(viewer)
    qtbot.addWidget(view)
    assert not view.grab().isNull()
    view.show_curve(SpectrumCurve(np.zeros(0), np.zeros(0, int)))
    assert not view.grab().isNull()


# --- the table ---


@pytest.fixture
def table(qtbot: Any) -> WindowTable:
    table = WindowTable()
    qtbot.addWidget(table)
    table.counter = lambda window: f"{window[1] - window[0]:.3f}"
    table.fill(WINDOWS)
    return table


def test_the_table_holds_edges_more_exactly_than_it_shows_them(table: WindowTable) -> None:
    table.set_edges("7Li", 7.0000012, 7.0300049)
    assert table.windows()["7Li"] == (7.000001, 7.030005)
    assert table.item(1, 1).text() == "7.0000"
    table.item(1, 2).setText("7.04")
    assert table.windows()["7Li"] == (7.000001, 7.04)
    assert table.item(1, 3).text() == "0.040"


def test_rows_are_added_typed_and_taken_away(table: WindowTable) -> None:
    table.add("7Li", (8.0, 8.1))
    assert table.windows()["7Li (2)"] == (8.0, 8.1)
    assert table.selected() == "7Li (2)"
    table.remove_selected()
    assert table.windows() == WINDOWS
    assert table.rowCount() == 3  # an empty row to type into
    for column, text in enumerate(("Na", "22.9", "23.1")):
        table.item(2, column).setText(text)
    assert table.windows()["Na"] == (22.9, 23.1)
    assert table.rowCount() == 4


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "-1", "0", "7.5"])
def test_rows_that_are_no_windows_do_not_count(table: WindowTable, text: str) -> None:
    table.item(1, 1).setText(text)
    assert table.windows() == {"6Li": WINDOWS["6Li"]}
    assert table.item(1, 3).text() == ""
