"""The command: what it prints where, what it leaves behind, and its exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import napari_liso
from napari_liso import cli
from napari_liso.cli import main

Capture = pytest.CaptureFixture[str]
NO_VIEWER = "there is no screen here"


@pytest.fixture(autouse=True)
def no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test opens a viewer unless it wants one."""
    monkeypatch.setattr(cli, "_no_viewer", lambda: NO_VIEWER)


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    written = sorted(p.name for p in (tmp_path / "demo-output").iterdir())
    assert written == ["boundaries.csv", "demo.pdf", "demo.png"]
    assert (tmp_path / "demo-output" / "demo.pdf").read_bytes()[:5] == b"%PDF-"
    assert [p.name for p in tmp_path.iterdir()] == ["demo-output"]
    out, err = capsys.readouterr()
    assert "65Cu/(63Cu+65Cu) = 0.3" in out
    assert "intervals contain the truth" in out
    assert "demo.png" in out.splitlines()[-1]
    assert "screenshot" not in out
    assert f"No screenshot: {NO_VIEWER}" in err
    assert "Fitting the grains and" in err


def test_a_screenshot_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(cli, "_no_viewer", lambda: None)
    monkeypatch.setattr(cli, "_screenshot", lambda path: path.write_bytes(b"picture") and None)
    assert main(["demo", "--output", str(tmp_path / "new" / "folder")]) == 0
    assert (tmp_path / "new" / "folder" / "screenshot.png").is_file()
    assert "screenshot.png" in capsys.readouterr().out.splitlines()[-1]


def test_a_viewer_that_dies_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    dies = "import os, sys; print('no GL here', file=sys.stderr, flush=True); os.abort()"
    monkeypatch.setattr(cli, "_no_viewer", lambda: None)
    monkeypatch.setattr(cli, "_VIEWER", (sys.executable, "-c", dies))
    assert main(["demo", "--output", str(tmp_path)]) == 0
    assert "No screenshot: no GL here" in capsys.readouterr().err
    assert not (tmp_path / "screenshot.png").exists()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "print('qt.qpa.xcb: no display\\nAvailable: xcb', file=e, flush=True); abort()",
            "qt.qpa",
        ),
        ("print('qt.qpa.theme: none', file=e); raise ValueError('no shader')", "ValueError: no"),
        ("sys.exit(3)", "napari ended with code 3"),
    ],
)
def test_the_reason_is_the_line_that_tells(
    code: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = "import sys; from os import abort; e = sys.stderr; "
    monkeypatch.setattr(cli, "_VIEWER", (sys.executable, "-c", begin + code))
    assert str(cli._screenshot(tmp_path / "screenshot.png")).startswith(reason)


def test_a_viewer_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = "import time; time.sleep(600)"
    monkeypatch.setattr(cli, "_VIEWER", (sys.executable, "-c", hangs))
    monkeypatch.setattr(cli, "_PATIENCE", 0.5)
    assert "did not draw within 0.5 s" in str(cli._screenshot(tmp_path / "screenshot.png"))
    assert list(tmp_path.iterdir()) == []


def test_show_without_a_screen(tmp_path: Path, capsys: Capture) -> None:
    assert main(["demo", "--show", "--output", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert one_line(err) == f"napari-liso: cannot open the viewer: {NO_VIEWER}"
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_show_opens_the_viewer_instead_of_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    records = f"import sys; open({str(seen)!r}, 'w').write(' '.join(sys.argv[1:]))"
    monkeypatch.setattr(cli, "_no_viewer", lambda: None)
    monkeypatch.setattr(cli, "_VIEWER", (sys.executable, "-c", records))
    assert main(["demo", "--show", "--output", str(tmp_path / "out")]) == 0
    assert seen.read_text() == "--show"
    assert sorted(p.suffix for p in (tmp_path / "out").iterdir()) == [".csv", ".pdf", ".png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["dmeo"], "dmeo"),
        (["demo", "--outptu", "x"], "--outptu"),
        (["demo", "--output"], "--output"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str, capsys: Capture) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert says in one_line(err)
    assert err.startswith("napari-liso")
    assert out == ""


def test_output_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("in the way")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(["demo", "--output", str(output)]) == 2
        line = one_line(capsys.readouterr().err)
        assert line.startswith(f"napari-liso: cannot write into {output}: ")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_output_without_permission(tmp_path: Path, capsys: Capture) -> None:
    tmp_path.chmod(0o500)
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert "Permission denied" in one_line(capsys.readouterr().err)


def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from napari_liso import demo

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "measure_copper", interrupt)
    assert main(["demo", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "napari-liso: interrupted"


def test_version_and_help(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"napari-liso {napari_liso.__version__}\n"
    assert main(["demo", "--help"]) == 0
    assert "demo-output" in capsys.readouterr().out


def test_the_installed_command_is_light() -> None:
    code = (
        "from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='napari-liso')\n"
        "main = command.load()\n"
        "import sys\n"
        "heavy = {'numpy', 'matplotlib', 'napari', 'qtpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(main(['--version']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("napari-liso ")


class TestHindrance:
    """Whether a viewer can open is asked before Qt is, which would end the process."""

    @pytest.fixture(autouse=True)
    def real(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(sys, "platform", "linux")
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
            monkeypatch.delenv(name, raising=False)

    def test_no_screen(self) -> None:
        assert "DISPLAY" in str(cli._no_viewer())

    @pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY"])
    def test_a_screen(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, ":99")
        assert cli._no_viewer() is None

    def test_elsewhere_there_is_a_screen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        assert cli._no_viewer() is None

    def test_offscreen_does_not_draw(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DISPLAY", ":99")
        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
        assert "offscreen" in str(cli._no_viewer())

    def test_napari_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli.importlib.util, "find_spec", lambda _: None)
        assert "napari-liso[all]" in str(cli._no_viewer())


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"), reason="needs a screen"
)
def test_the_real_screenshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.image import imread

    monkeypatch.setattr(cli, "_PATIENCE", 300.0)
    path = tmp_path / "screenshot.png"
    assert cli._screenshot(path) is None
    picture = imread(path)[..., :3]
    assert picture.shape[0] > 500
    assert picture.shape[1] > 800
    # the map in the middle, in the colours of its scale: not the grey of an empty window
    middle = picture[200:-200, 500:-600]
    assert (middle.max(axis=-1) - middle.min(axis=-1)).mean() > 0.2
    assert [p.name for p in tmp_path.iterdir()] == ["screenshot.png"]


@pytest.mark.parametrize("arguments", [[], ["a.png", "b.png"]])
def test_screenshot_wants_one_argument(arguments: list[str], capsys: Capture) -> None:
    from napari_liso.plugin import screenshot

    assert screenshot.main(arguments) == 2
    assert one_line(capsys.readouterr().err).startswith("usage: ")
