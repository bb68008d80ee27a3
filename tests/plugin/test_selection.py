"""Picking a boundary with the mouse, and the one selection that all views share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.plugin.selection import (
    BoundarySelection,
    MapPicker,
    camera_of,
    nearest_label,
    selection_of,
)

from .conftest import add_boundaries


@pytest.mark.parametrize(
    ("position", "magnification", "expected"),
    [
        ((10, 10), (1, 1), 1),  # on it
        ((10, 15.4), (1, 1), 1),  # 4.9 screen pixels from the edge of the pixel at 10
        ((10, 15.6), (1, 1), 0),  # 5.1
        ((10, 10.9), (10, 10), 1),  # the reach is on the screen: 4 of its pixels
        ((10, 11.1), (10, 10), 0),  # 6
        ((10, 26), (0.3, 0.3), 2),  # seen from afar, the nearer of two
        ((-3, 10), (1, 1), 0),
    ],
)
def test_the_nearest_boundary_within_five_screen_pixels(
    position: tuple[float, float], magnification: tuple[float, float], expected: int
) -> None:
    labels = np.zeros((40, 40), np.uint16)
    labels[10, 10] = 1
    labels[10, 30] = 2
    assert nearest_label(labels, position, magnification) == expected


def test_oblong_pixels_are_measured_on_the_screen() -> None:
    labels = np.zeros((20, 20), np.uint16)
    labels[10, 5], labels[5, 10] = 1, 2
    # both five pixels away, but pixels are twice as high as wide
    assert nearest_label(labels, (10, 10), (1.0, 0.5)) == 1
    assert nearest_label(labels, (10, 10), (0.5, 1.0)) == 2


def test_selection_is_told_once_and_only_when_it_changes(qtbot) -> None:
    selection = BoundarySelection()
    told = []
    selection.changed.connect(lambda: told.append(selection.ids))
    selection.select([3, 3, 5])
    selection.select((3, 5))
    selection.toggle(3)
    selection.toggle(7)
    assert told == [(3, 5), (5,), (5, 7)]
    assert selection.current == 7


# --- the mouse ----------------------------------------------------------------------------------


def event(position: tuple[float, float], *, shift: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        type="mouse_press",
        button=1,
        pos=np.array([100.0, 100.0]),
        position=position,
        modifiers=("Shift",) if shift else (),
        handled=False,
    )


def click(picker: MapPicker, viewer: ViewerModel, happening: SimpleNamespace) -> None:
    """Send press, a tremble of two screen pixels, and release."""
    follow = picker.on_mouse(viewer, happening)
    next(follow, None)
    happening.type, happening.pos = "mouse_move", happening.pos + 2
    next(follow, None)
    happening.type = "mouse_release"
    next(follow, None)


@pytest.fixture
def picker(viewer: ViewerModel, qtbot) -> MapPicker:
    add_boundaries(viewer)
    camera_of(viewer).zoom = 4.0  # canvas pixels per um
    picker = MapPicker(viewer)
    picker.set_layer(viewer.layers["Grain boundaries"])
    return picker


def ids(viewer: ViewerModel) -> tuple[int, ...]:
    return selection_of(viewer.layers["Grain boundaries"]).ids


def test_a_click_selects_shift_adds_and_nothing_clears(
    picker: MapPicker, viewer: ViewerModel
) -> None:
    # the map is 12 x 15 um; boundary 1 | 2 is at x = 7.5 um in the upper half, 2 | 3 at y = 6
    click(picker, viewer, event((2.0, 7.0)))
    assert ids(viewer) == (1,)
    click(picker, viewer, event((6.0, 12.0), shift=True))
    assert ids(viewer) == (1, 3)
    click(picker, viewer, event((2.0, 7.0), shift=True))
    assert ids(viewer) == (3,)
    click(picker, viewer, event((9.0, 2.0)))
    assert ids(viewer) == ()


def test_a_click_beside_the_map_changes_nothing(picker: MapPicker, viewer: ViewerModel) -> None:
    click(picker, viewer, event((2.0, 7.0)))
    click(picker, viewer, event((-5.0, 7.0)))
    assert ids(viewer) == (1,)


def test_a_drag_selects_nothing(picker: MapPicker, viewer: ViewerModel) -> None:
    happening = event((2.0, 7.0))
    follow = picker.on_mouse(viewer, happening)
    next(follow)
    happening.type, happening.pos = "mouse_move", happening.pos + 30
    next(follow, None)
    happening.type = "mouse_release"
    next(follow, None)
    assert ids(viewer) == ()


def test_painting_is_left_alone(picker: MapPicker, viewer: ViewerModel) -> None:
    grains = viewer.add_labels(np.zeros((24, 30), int), scale=(0.5, 0.5), units=("um", "um"))
    grains.mode = "paint"
    viewer.layers.selection.active = grains
    click(picker, viewer, event((2.0, 7.0)))
    assert ids(viewer) == ()
    grains.mode = "pan_zoom"
    click(picker, viewer, event((2.0, 7.0)))
    assert ids(viewer) == (1,)


def test_two_docks_see_one_click(picker: MapPicker, viewer: ViewerModel) -> None:
    second = MapPicker(viewer)
    second.set_layer(viewer.layers["Grain boundaries"])
    happening = event((2.0, 7.0), shift=True)
    followers = [p.on_mouse(viewer, happening) for p in (picker, second)]
    for kind in ("mouse_press", "mouse_release"):
        happening.type = kind
        for follower in followers:
            next(follower, None)
    assert ids(viewer) == (1,)


def test_a_hidden_layer_is_not_clicked(picker: MapPicker, viewer: ViewerModel) -> None:
    viewer.layers["Grain boundaries"].visible = False
    click(picker, viewer, event((2.0, 7.0)))
    assert ids(viewer) == ()


def test_the_mouse_is_listened_to_only_while_switched_on(
    picker: MapPicker, viewer: ViewerModel
) -> None:
    before = list(viewer.mouse_drag_callbacks)
    picker.switch(True)
    picker.switch(True)
    assert len(viewer.mouse_drag_callbacks) == len(before) + 1
    picker.switch(False)
    assert list(viewer.mouse_drag_callbacks) == before
