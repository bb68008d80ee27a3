"""Results of a fit that an edit made outdated, and undo that brings them back."""

from __future__ import annotations

import pytest

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context

from .conftest import fit_of, grains_of_three
from .test_editor import document


@pytest.mark.usefixtures("qapp")
def test_images_of_a_fit_are_put_away_by_an_edit_and_come_back_by_undo() -> None:
    viewer, painted, layer, editor = document(grains_of_three())
    placement = ly.Placement.of_layer(layer)
    context = Context(viewer)
    for data in ly.fit_layers(fit_of(editor.boundaries), editor.boundaries, placement):
        ly.show(viewer, data)
    image = viewer.layers[ly.PERMEABILITY]
    assert image.visible
    assert context.editor is editor
    told: list[bool] = []
    context.outdated.connect(lambda: told.append(True))
    painted.paint((2, 15), 2)
    editor.flush()
    assert not image.visible
    assert told == [True]
    editor.undo()
    assert image.visible
