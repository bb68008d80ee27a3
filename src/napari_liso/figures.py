"""Figures of a fitted map, for paper and screen. No window is opened and no viewer needed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from napari_liso.units import MICROMETRE, NANOMETRE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.faces import corners_of

__all__ = ["boundary_lines", "fit_figure", "shown_permeability"]

FloatArray = NDArray[np.float64]

#: Rounds of 1/4 - 1/2 - 1/4 smoothing that turn a pixel staircase into a line.
_SMOOTHING = 12
_RESIDUAL_LIMIT = 4.0
_NO_DATA = "0.82"
_OPEN = "0.62"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
#: Okabe and Ito's colours: told apart with every kind of colour vision.
_VERDICTS = {
    "resolved": ("resolved", "#0072B2", "o"),
    "upper_bound": ("upper bound", "#D55E00", "v"),
    "lower_bound": ("lower bound", "#009E73", "^"),
    "unresolved": ("not resolved", _OPEN, "|"),
}
_LINES: dict[str, dict[str, Any]] = {
    "resolved": {"linewidth": 3.6},
    "upper_bound": {"linewidth": 2.0, "linestyle": (0, (2.4, 0.9))},
    "lower_bound": {"linewidth": 2.0, "linestyle": (0, (0.8, 0.8))},
    "unresolved": {"linewidth": 1.0},
}
_RANK = {"unresolved": 2.1, "lower_bound": 2.2, "upper_bound": 2.3, "resolved": 2.4}


def shown_permeability(table: pd.DataFrame) -> FloatArray:
    """Return the number that may stand for each boundary's k, m/s.

    The estimate where it is resolved, the bound where it is a bound, NaN where
    the data leave k open.

    Parameters
    ----------
    table
        `DiffusionFit.table`.

    Returns
    -------
    ndarray
        In the order of the rows.
    """
    verdict = table["verdict"].to_numpy(dtype=object)
    column = {
        "resolved": "permeability",
        "lower_bound": "permeability_lower",
        "upper_bound": "permeability_upper",
    }
    shown = np.full(len(table), np.nan)
    for name, source in column.items():
        shown[verdict == name] = table[source].to_numpy(dtype=float)[verdict == name]
    return shown


def boundary_lines(boundaries: Boundaries) -> dict[int, list[FloatArray]]:
    """Smooth lines along the boundaries.

    Parameters
    ----------
    boundaries
        Of `find_boundaries`.

    Returns
    -------
    dict
        By boundary id: one or more lines, each (point, 2) as (y, x) in m from
        the upper left corner of the map. Their ends are corners of pixels, so
        boundaries that meet there still do.
    """
    faces = boundaries.faces
    width = boundaries.grains.shape[1]
    start, end = (
        np.stack(np.divmod(corner, width + 1), axis=1)
        for corner in corners_of(faces.first, faces.axis, width)
    )
    # faces are sorted by boundary
    ids, begin, count = np.unique(faces.boundary, return_index=True, return_counts=True)
    lines = {}
    for boundary, a, n in zip(ids.tolist(), begin, count, strict=True):
        chains = _chains(start[a : a + n], end[a : a + n])
        lines[boundary] = [_smooth(c) * boundaries.pixel_size for c in chains]
    return lines


def fit_figure(
    fraction: FloatArray,
    boundaries: Boundaries,
    fit: DiffusionFit,
    truth: FloatArray,
    source: str,
    note: str,
) -> Figure:
    """Draw four panels: measured fraction, residual, fitted k, and k against its truth.

    Parameters
    ----------
    fraction
        Measured isotope fraction (y, x), NaN where there are no counts.
    boundaries
        That were fitted.
    fit
        Of the same map.
    truth
        True k of each row of ``fit.table``, m/s.
    source
        Where the 6Li came from, in words: "source at the left edge".
    note
        One line under the panels: what this is.

    Returns
    -------
    Figure
        To be saved with `Figure.savefig`.
    """
    lines = boundary_lines(boundaries)
    with rc_context(_STYLE):
        figure, (top_left, top_right, low_left, low_right) = _panels(fraction, boundaries)
        _draw_fraction(top_left, fraction, lines, boundaries.pixel_size)
        _draw_residual(top_right, fit, lines, boundaries.pixel_size)
        _draw_permeability(low_left, boundaries, fit.table, lines)
        _draw_truth(low_right, fit.table, truth)
        titles = (
            f"Measured ⁶Li fraction, {source}",
            "Residual: (data − model) / σ",
            "Fitted permeability k, numbers as in the table",
            "Fitted k, 95 % intervals, against the truth",
        )
        for axes, letter, title in zip(figure.axes[:4], "abcd", titles, strict=True):
            axes.set_title(f"$\\bf{{{letter}}}$   {title}", pad=7)
        figure.text(0.5, 0.012, note, fontsize=8, color="0.35", ha="center", va="bottom")
    return figure


def _panels(image: FloatArray, boundaries: Boundaries) -> tuple[Figure, list[Axes]]:
    """Four empty panels, two by two, of the shape of the map; lengths in inches."""
    height, width = np.array(image.shape) * boundaries.pixel_size
    across = 3.85
    up = float(np.clip(across * height / width, 2.4, 5.0))
    size = (10.4, 2.1 + 2 * up)
    figure = Figure(figsize=size)
    return figure, [
        figure.add_axes((x / size[0], y / size[1], across / size[0], up / size[1]))
        for y in (1.75 + up, 1.0)
        for x in (0.25, 5.75)
    ]


def _chains(start: NDArray[np.int64], end: NDArray[np.int64]) -> list[FloatArray]:
    """Join faces at their corners into as few chains (point, 2) as possible."""
    at: dict[tuple[int, ...], list[int]] = defaultdict(list)
    corners = [(tuple(a), tuple(b)) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    for index, pair in enumerate(corners):
        for corner in pair:
            at[corner].append(index)
    unused = set(range(len(corners)))
    # Lines begin where one ends; what is left after them are closed loops.
    begins = [corner for corner, faces in at.items() if len(faces) % 2]
    chains = []
    while unused:
        here = next((c for c in begins if unused.intersection(at[c])), None)
        here = corners[min(unused)][0] if here is None else here
        chain = [here]
        while onward := unused.intersection(at[here]):
            face = min(onward)
            unused.remove(face)
            one, two = corners[face]
            here = two if here == one else one
            chain.append(here)
        chains.append(np.array(chain, dtype=np.float64))
    return chains


def _smooth(points: FloatArray) -> FloatArray:
    """Smooth a chain; its ends stay, and a closed one stays closed."""
    closed = len(points) > 2 and bool((points[0] == points[-1]).all())
    points = points.copy()
    for _ in range(_SMOOTHING):
        padded = np.vstack([points[-2], points, points[1]]) if closed else points
        middle = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
        if closed:
            points = middle
        else:
            points[1:-1] = middle
    return points


def _draw_fraction(
    axes: Axes,
    fraction: FloatArray,
    lines: dict[int, list[FloatArray]],
    pixel_size: tuple[float, float],
) -> None:
    image = _show(axes, fraction, pixel_size, cmap=_with_bad("inferno"), vmin=0.0, vmax=1.0)
    _outline(axes, lines, color="white", linewidth=0.8, alpha=0.8)
    _scale_bar(axes, "white")
    _colorbar(axes, image, "⁶Li / (⁶Li + ⁷Li)")


def _draw_residual(
    axes: Axes,
    fit: DiffusionFit,
    lines: dict[int, list[FloatArray]],
    pixel_size: tuple[float, float],
) -> None:
    residual = np.where(fit.used, fit.residual, np.nan)
    image = _show(
        axes, residual, pixel_size, cmap=_with_bad("RdBu_r"),
        vmin=-_RESIDUAL_LIMIT, vmax=_RESIDUAL_LIMIT,
    )  # fmt: skip
    _outline(axes, lines, color="0.25", linewidth=0.6)
    _scale_bar(axes, "black")
    _colorbar(axes, image, "", extend="both")
    axes.set_xlabel(
        f"χ² / degree of freedom = {fit.dispersion:.2f};  grey: mixed pixels, not used",
        fontsize=8,
    )


def _draw_permeability(
    axes: Axes, boundaries: Boundaries, table: pd.DataFrame, lines: dict[int, list[FloatArray]]
) -> None:
    _show(
        axes, np.where(boundaries.grains > 0, 0.0, np.nan), boundaries.pixel_size,
        cmap=_with_bad(ListedColormap(["0.96"])),
    )  # fmt: skip
    log_k = dict(zip(table.index, np.log10(shown_permeability(table)), strict=True))
    verdict = table["verdict"].to_dict()
    resolved = [log_k[i] for i in table.index if verdict[i] == "resolved"]
    norm = _log_limits(resolved or [v for v in log_k.values() if np.isfinite(v)])
    # Dark is slow; the palest fifth would be lost on paper.
    cmap = ListedColormap(colormaps["plasma"](np.linspace(0.0, 0.88, 256)))
    handles = []
    for name, style in _LINES.items():
        parts = [(i, p) for i, each in lines.items() if verdict.get(i) == name for p in each]
        if not parts:
            continue
        drawn = LineCollection([_xy(part) for _, part in parts], zorder=_RANK[name], **style)
        if name == "unresolved":
            drawn.set_color(_OPEN)
        else:
            drawn.set(cmap=cmap, norm=norm, array=np.array([log_k[i] for i, _ in parts]))
        axes.add_collection(drawn)
        colour = _OPEN if name == "unresolved" else cmap(0.45)
        handles.append(Line2D([], [], color=colour, label=_VERDICTS[name][0], **style))
        for i, part in parts if name == "resolved" else []:
            _number(axes, i, _xy(part))
    _colorbar(
        axes, ScalarMappable(norm, cmap), r"$\log_{10}\,k$ (m/s), or its bound", extend="both"
    )
    _legend_below(axes, handles)


def _draw_truth(axes: Axes, table: pd.DataFrame, truth: FloatArray) -> None:
    truth = truth / NANOMETRE
    shown = shown_permeability(table) / NANOMETRE
    middle, lower, upper = (
        table[column].to_numpy(dtype=float) / NANOMETRE
        for column in ("permeability", "permeability_lower", "permeability_upper")
    )
    verdict = table["verdict"].to_numpy(dtype=object)
    seen = np.concatenate([truth, shown, lower, upper])
    seen = seen[np.isfinite(seen) & (seen > 0)]
    axes.set(xscale="log", yscale="log", xlabel="true k (nm/s)", ylabel="fitted k (nm/s)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(LogLocator(subs=range(1, 10)))
        axis.set_minor_formatter(NullFormatter())
    axes.set(
        xlim=(truth.min() / 1.2, truth.max() * 1.2), ylim=(seen.min() / 1.4, seen.max() * 1.2)
    )
    axes.plot(axes.get_xlim(), axes.get_xlim(), color="0.3", linewidth=0.8, zorder=1)
    handles = []
    for name, (label, colour, marker) in _VERDICTS.items():
        mine = verdict == name
        if not mine.any():
            continue
        handles.append(
            Line2D([], [], color=colour, marker=marker, markersize=9 if marker == "|" else 5,
                   linestyle="none", label=f"{label} ({mine.sum()})")
        )  # fmt: skip
        if name in ("upper_bound", "lower_bound"):
            _arrows(axes, truth[mine], shown[mine], name == "upper_bound", colour)
            continue
        axes.errorbar(
            truth[mine], middle[mine], yerr=[(middle - lower)[mine], (upper - middle)[mine]],
            color=colour, fmt=marker if name == "resolved" else "none", markersize=4.5,
            elinewidth=0.9, zorder=_RANK[name],
        )  # fmt: skip
    axes.grid(which="major", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    _legend_below(axes, handles)


def _arrows(axes: Axes, truth: FloatArray, bound: FloatArray, downward: bool, colour: str) -> None:
    """Draw bounds: a bar at the bound, and an arrow to where k may be."""
    factor = 0.72 if downward else 1 / 0.72
    axes.plot(truth, bound, linestyle="none", marker="_", markersize=6, color=colour, zorder=3)
    for x, y in zip(truth, bound, strict=True):
        axes.annotate(
            "", xy=(x, y * factor), xytext=(x, y), zorder=3,
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 0.9,
                        "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _legend_below(axes: Axes, handles: list[Line2D]) -> None:
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13 if axes.get_xlabel() else -0.03),
        ncols=4,
        frameon=False,
        handlelength=1.8,
        handletextpad=0.5,
        columnspacing=1.2,
        borderaxespad=0.0,
    )


def _show(axes: Axes, image: FloatArray, pixel_size: tuple[float, float], **style: Any) -> Any:
    """Show a map in um, row 0 at the top, without ticks: it has a scale bar."""
    height, width = np.array(image.shape) * pixel_size / MICROMETRE
    axes.set(xticks=[], yticks=[])
    return axes.imshow(
        image, extent=(0, width, height, 0), interpolation="nearest", rasterized=True, **style
    )


def _outline(axes: Axes, lines: dict[int, list[FloatArray]], **style: Any) -> None:
    parts = [_xy(part) for each in lines.values() for part in each]
    axes.add_collection(LineCollection(parts, **style))


def _xy(line: FloatArray) -> FloatArray:
    """(y, x) in m to (x, y) in um."""
    return line[:, ::-1] / MICROMETRE


def _number(axes: Axes, boundary: int, line: FloatArray) -> None:
    x, y = line[len(line) // 2]
    axes.text(
        x, y, str(boundary), fontsize=6, ha="center", va="center", color="black",
        path_effects=[withStroke(linewidth=2.6, foreground="white")],
    )  # fmt: skip


def _scale_bar(axes: Axes, colour: str) -> None:
    """Draw a bar of a round length near a fifth of the map, lower right."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    width, height = right - left, bottom - top
    target = 0.2 * width
    decade = 10.0 ** np.floor(np.log10(target))
    length = max(f * decade for f in (1, 2, 5) if f * decade <= target * 1.0001)
    x, y = right - 0.03 * width - length, bottom - 0.035 * height
    axes.add_patch(
        Rectangle((x, y - 0.016 * height), length, 0.016 * height, color=colour, linewidth=0)
    )
    halo = "white" if colour == "black" else "black"
    axes.text(
        x + length / 2, y - 0.025 * height, f"{length:g} µm", color=colour, fontsize=8,
        ha="center", va="bottom", path_effects=[withStroke(linewidth=1.8, foreground=halo)],
    )  # fmt: skip


def _colorbar(axes: Axes, image: Any, label: str, **style: Any) -> Any:
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0)), **style)
    bar.set_label(label)
    bar.outline.set_linewidth(0.7)
    return bar


def _log_limits(values: list[float]) -> Normalize:
    """Limits of log10 k, half a decade apart or more."""
    low, high = (min(values), max(values)) if values else (-9.0, -7.0)
    short = max(0.0, 0.5 - (high - low)) / 2
    return Normalize(low - short, high + short)


def _with_bad(cmap: str | Colormap) -> Colormap:
    """Return a copy of a colormap that shows NaN in grey."""
    given = colormaps[cmap] if isinstance(cmap, str) else cmap
    return given.with_extremes(bad=_NO_DATA)
