"""The item in the context menu of the layer list."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from app_model import Application

from napari_liso.plugin import context_menu


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Application:
    made = Application("napari-liso-test")
    monkeypatch.setattr(context_menu, "_APP", made.name)
    yield made
    Application.destroy(made.name)


def test_the_item_is_there_while_the_plugin_is_active(app: Application) -> None:
    disposers: list = []
    context = SimpleNamespace(register_disposable=disposers.append)
    context_menu.on_activate(context)
    context_menu.on_activate(context)  # once is enough
    (item,) = app.menus.get_menu("napari/layers/context")
    assert item.command.title == "Isotope ratio (napari-liso)"
    assert item.when.eval({"num_selected_image_layers": 2})
    assert not item.when.eval({"num_selected_image_layers": 0})
    for dispose in disposers:
        dispose()
    assert "napari/layers/context" not in app.menus or not list(
        app.menus.get_menu("napari/layers/context")
    )


def test_without_napari_s_application_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_menu, "_APP", "no such application")
    context_menu.on_activate(SimpleNamespace(register_disposable=None))
