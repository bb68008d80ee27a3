"""The rules that keep the package importable, headless and honest about layers."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import napari_liso

HEAVY = ("numpy", "scipy", "pandas", "h5py", "skimage", "matplotlib", "tifffile")
DISPLAY = ("napari", "qtpy", "superqt", "magicgui", "PyQt5", "PyQt6", "PySide2", "PySide6")

LAYER_TYPES = ("image", "labels", "points", "shapes", "surface", "tracks", "vectors")
MAKERS = {f"add_{kind}" for kind in LAYER_TYPES} | {kind.capitalize() for kind in LAYER_TYPES}


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after running `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return {name.split(".")[0] for name in json.loads(out.splitlines()[-1])}


def science_modules() -> list[str]:
    """Every module of the package but the plugin's and the ones that run things."""
    return [
        info.name
        for info in pkgutil.walk_packages(napari_liso.__path__, "napari_liso.")
        if not info.name.startswith("napari_liso.plugin") and not info.name.endswith("__main__")
    ]


def test_import_is_light() -> None:
    loaded = loaded_after("import napari_liso; napari_liso.__version__; dir(napari_liso)")
    assert "napari_liso" in loaded
    assert not loaded & {*HEAVY, *DISPLAY}


def test_science_needs_no_display() -> None:
    modules = science_modules()
    assert "napari_liso.readers.phi.simsh5" in modules
    loaded = loaded_after(
        "import importlib\n" + "\n".join(f"importlib.import_module({m!r})" for m in modules)
    )
    assert "scipy" in loaded
    assert not loaded & set(DISPLAY)


@pytest.mark.parametrize("name", napari_liso.__all__)
def test_public_name_resolves(name: str) -> None:
    value = getattr(napari_liso, name)
    if name != "__version__":
        assert callable(value)
        assert value.__name__ == name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        napari_liso.nonsense  # noqa: B018


def makes_layers(source: str) -> list[str]:
    """Name what in `source` makes layers or layer data tuples."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", None) or getattr(function, "id", None)
            of_layer = isinstance(function, ast.Attribute) and (
                getattr(function.value, "id", None) == "Layer" and function.attr == "create"
            )
            if name in MAKERS or of_layer:
                found.append(f"line {node.lineno}: {name}(...)")
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3:
            last = node.elts[2]
            if isinstance(last, ast.Constant) and last.value in LAYER_TYPES:
                found.append(f"line {node.lineno}: layer data tuple")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "viewer.add_image(a)",
        "viewer.add_labels(a)",
        "from napari.layers import Image\nImage(a)",
        "napari.layers.Points(p)",
        "Layer.create(a, {}, 'image')",
        "def f():\n    return [(a, {'name': 'x'}, 'labels')]",
    ],
)
def test_layer_makers_are_noticed(source: str) -> None:
    assert makes_layers(source)


def test_isinstance_checks_are_no_layer_makers() -> None:
    assert not makes_layers("isinstance(layer, Labels); viewer.add_layer(layer)")


def test_layers_are_made_in_one_place() -> None:
    plugin = Path(importlib.import_module("napari_liso").__path__[0]) / "plugin"
    offenders = {
        str(path.relative_to(plugin)): made
        for path in sorted(plugin.rglob("*.py"))
        if path.relative_to(plugin).parts[0] != "layers"
        and (made := makes_layers(path.read_text(encoding="utf-8")))
    }
    assert offenders == {}


def test_manifest_at_the_root_is_the_package_s(repository: Path) -> None:
    link = repository / "napari.yaml"
    assert link.is_symlink()
    assert link.readlink() == Path("src/napari_liso/napari.yaml")


@pytest.mark.slow
def test_wheel_and_sdist_hold_what_they_must(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(n for n in names if n.endswith("entry_points.txt"))
        assert "napari-liso = napari_liso:napari.yaml" in archive.read(entry_points).decode()
        assert b"napari-liso" in archive.read("napari_liso/napari.yaml")
    assert {"napari_liso/py.typed", "napari_liso/data/copper_grid.npz"} <= names
    assert not any(name.startswith("tests") for name in names)
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "LICENSE-copper_grid"}
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {
        "src/napari_liso/napari.yaml",
        "napari.yaml",
        "pyproject.toml",
        "CITATION.cff",
        "tests/conftest.py",
    } <= inside
