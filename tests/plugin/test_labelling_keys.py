"""Keys of a dock: bound while it is shown, and given back in whatever order docks go."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.key_bindings import KeyBinding, KeymapHandler
from napari.utils.shortcuts import default_shortcuts

from napari_liso.plugin.labelling.keys import Keys, key_code
from napari_liso.plugin.widgets.labelling.keys_help import KEYS


def press(viewer: ViewerModel, key: str) -> None:
    """Do what napari does with a key: ask the active layer, then the viewer."""
    handler = KeymapHandler()
    active = viewer.layers.selection.active
    handler.keymap_providers = [viewer] if active is None else [active, viewer]
    handler.press_key(KeyBinding.from_int(key_code(key)))


def test_a_key_acts_while_it_is_bound(viewer: ViewerModel) -> None:
    done: list[str] = []
    keys = Keys(viewer, {"N": lambda: done.append("n"), "Shift+N": lambda: done.append("N")})
    press(viewer, "N")
    keys.switch(True)
    press(viewer, "N")
    press(viewer, "Shift+N")
    keys.switch(False)
    press(viewer, "N")
    assert done == ["n", "N"]
    assert viewer.keymap == {}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_was_bound_comes_back_in_whatever_order(
    viewer: ViewerModel, order: tuple[int, ...]
) -> None:
    done: list[str] = []
    viewer.bind_key("n", lambda _: done.append("user"))
    several = []
    for number in range(3):
        keys = Keys(viewer, {"N": lambda number=number: done.append(str(number))})
        keys.switch(True)
        several.append(keys)
    left = [0, 1, 2]
    for number in order:
        press(viewer, "N")
        assert done[-1] == str(left[-1])  # the dock that was shown last
        several[number].switch(False)
        left.remove(number)
    press(viewer, "N")
    assert done[-1] == "user"


def test_a_key_that_was_taken_meanwhile_stays_with_whom_took_it(viewer: ViewerModel) -> None:
    done: list[str] = []
    keys = Keys(viewer, {"N": lambda: done.append("ours")})
    keys.switch(True)
    viewer.bind_key("n", lambda _: done.append("theirs"), overwrite=True)
    keys.switch(False)
    press(viewer, "N")
    assert done == ["theirs"]


def test_a_claimed_key_wins_over_the_active_layer(viewer: ViewerModel) -> None:
    """Ctrl+Z of Labels is napari's own; it comes back when another layer is active."""
    ours = viewer.add_labels(np.zeros((8, 8), int), name="ours")
    other = viewer.add_labels(np.zeros((8, 8), int), name="other")
    done: list[str] = []
    keys = Keys(viewer, {"Ctrl+Z": lambda: done.append("z")}, lambda layer: layer is ours)
    keys.switch(True)
    other.data_setitem((np.array([1]), np.array([1])), 5)
    press(viewer, "Ctrl+Z")
    assert other.data[1, 1] == 0
    assert done == []
    viewer.layers.selection.active = ours
    press(viewer, "Ctrl+Z")
    assert done == ["z"]
    viewer.layers.selection.active = other
    assert ours.keymap == {}
    viewer.layers.selection.active = ours
    keys.switch(False)
    assert (ours.keymap, viewer.keymap) == ({}, {})


def test_a_key_that_is_held(viewer: ViewerModel) -> None:
    done: list[str] = []
    keys = Keys(viewer, {"Space": (lambda: done.append("down"), lambda: done.append("up"))})
    keys.switch(True)
    handler = KeymapHandler()
    handler.keymap_providers = [viewer]
    handler.press_key(KeyBinding.from_int(key_code("Space")))
    assert done == ["down"]
    handler.release_key(KeyBinding.from_int(key_code("Space")))
    assert done == ["down", "up"]


def test_the_keys_are_not_those_of_images_labels_and_the_viewer() -> None:
    kinds = ("labels", "image", "auto_contrast", "orient", "label", "polygon", "brush")
    kinds = (*kinds, "dims", "focus", "roll", "toggle", "hold", "reset_view", "new_label")
    taken = {
        str(key)
        for name, keys in default_shortcuts.items()
        for key in keys
        if any(kind in name for kind in kinds)
    }
    taken |= {str(key) for cls in (Labels, Image) for key in cls.class_keymap}
    ours = {str(KeyBinding.from_int(key_code(key))) for keys in KEYS.values() for key in keys}
    assert ours & taken == {"Ctrl+Z", "Ctrl+Shift+Z"}  # the editor's go through napari's own
    assert len({key for keys in KEYS.values() for key in keys}) == len(KEYS)
