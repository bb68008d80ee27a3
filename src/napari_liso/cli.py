"""The command ``napari-liso``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from napari_liso import __version__

__all__ = ["main"]

#: Longest time that the viewer may take to draw a screenshot, s.
_PATIENCE = 75.0
_WRONG = 2


class _Unwritable(Exception):
    """Results cannot be written; the message says why."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_WRONG, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        Without the program's name; None: those of the process.

    Returns
    -------
    int
        Exit code: 0, 1 for a file that cannot be read, 2 for wrong usage or
        output that cannot be written, 130 when interrupted.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        if options.command == "probe":
            return _probe(options.files)
        return _demo(options.output, options.show)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except _Unwritable as error:
        return _fail(f"cannot write into {options.output}: {error}")
    except BrokenPipeError:
        # Whoever read our output went away, as `head` does; nor can Python flush it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="napari-liso",
        description="Lithium-isotope SIMS maps: the permeability of every grain boundary.",
    )
    parser.add_argument("--version", action="version", version=f"napari-liso {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="the whole job on the data that come with napari-liso",
        description="The isotopes of a measured copper grid against nature, then the whole "
        "analysis of a simulated polycrystal against its truth. Prints a summary and writes a "
        "table, a figure and, where there is a screen, a screenshot of napari.",
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder for the results, made if needed (default: %(default)s)",
    )
    demo.add_argument(
        "--show", action="store_true", help="open the result in napari instead of a screenshot"
    )
    probe = commands.add_parser(
        "probe",
        help="what a file is and what is odd about it, for bug reports",
        description="Print what a file is: format, blocks or headers, calibration, peaks, pixel "
        "size, and what is odd. Nothing is changed and no viewer is opened.",
    )
    probe.add_argument("files", nargs="+", type=Path, metavar="FILE")
    return parser


def _probe(files: Sequence[Path]) -> int:
    from napari_liso.readers.probe import probe

    code = 0
    for number, path in enumerate(files):
        if number:
            print()
        try:
            for line in probe(path):
                # A file's own text may hold what the terminal cannot show, or obeys.
                plain = "".join(c if c.isprintable() else "?" for c in line)
                encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
                print(plain.encode(encoding, "replace").decode(encoding))
                code = max(code, int(line.startswith("cannot be read:")))
        except OSError as error:
            code = _fail(f"{path}: {error.strerror or error}")
    return code


def _demo(output: Path, show: bool) -> int:
    hindrance = _no_viewer()
    if show and hindrance:
        return _fail(f"cannot open the viewer: {hindrance}")
    # Only now, since it loads scipy, pandas and matplotlib.
    from napari_liso import demo

    with _writing():
        demo.prepare(output)
    begin = time.perf_counter()

    def tell(what: str) -> None:
        print(f"[{time.perf_counter() - begin:5.1f} s] {what}", file=sys.stderr, flush=True)

    tell("Counting the isotopes of a measured copper grid")
    copper = demo.measure_copper()
    analysis = demo.analyse(tell)
    tell("Drawing the figure")
    with _writing():
        written = demo.write(analysis, output)
    print(demo.report(copper, analysis), end="\n\n", flush=True)
    if not show:
        if hindrance is None:
            tell("Taking a screenshot of napari")
            hindrance = _screenshot(output / "screenshot.png")
        if hindrance is None:
            written.append(output / "screenshot.png")
        else:
            tell(f"No screenshot: {hindrance}")
    print(f"Written: {', '.join(str(path) for path in written)}", flush=True)
    if show:
        tell("Opening napari; close its window to end")
        if subprocess.run([*_VIEWER, "--show"], check=False).returncode:
            return _fail("napari ended with an error", 1)
    tell("Done")
    return 0


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Unwritable(error.strerror or str(error)) from error


#: -P: modules of the folder we are called in must not stand before the installed ones.
_VIEWER = (sys.executable, "-P", "-m", "napari_liso.plugin.screenshot")


def _no_viewer() -> str | None:
    """Say why no viewer can be opened, None if one can.

    Qt ends the whole process when it finds no screen, so this is asked first.
    """
    if importlib.util.find_spec("napari") is None:
        return 'napari is not installed (pip install "napari-liso[all]")'
    bindings = ("PyQt6", "PySide6", "PyQt5", "PySide2")
    if not any(importlib.util.find_spec(name) for name in bindings):
        return 'no Qt is installed (pip install "napari-liso[all]")'
    platform = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0]
    if platform in ("offscreen", "minimal"):
        return f"QT_QPA_PLATFORM={platform} has no OpenGL"
    elsewhere = sys.platform in ("win32", "darwin")
    if not elsewhere and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set; try xvfb-run)"
    return None


def _screenshot(path: Path) -> str | None:
    """Let another process draw the viewer; say why that failed, None if it did not.

    In a process of its own since a broken screen or graphics driver would end
    this one, and with settings of its own so that it looks the same everywhere.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        drawn = Path(folder) / path.name
        environment = {**os.environ, "NAPARI_CONFIG": str(Path(folder) / "settings.yaml")}
        try:
            done = subprocess.run(
                [*_VIEWER, str(drawn)],
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"napari did not draw within {_PATIENCE:g} s"
        if done.returncode or not drawn.is_file():
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            # An exception ends with what it is; Qt first says why, and then talks on.
            aborted = [line for line in lines if done.returncode < 0 and line.startswith("qt.qpa")]
            return [*aborted[:1], *lines[-1:], f"napari ended with code {done.returncode}"][0]
        os.replace(drawn, path)
    return None


def _fail(message: str, code: int = _WRONG) -> int:
    print(f"napari-liso: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
