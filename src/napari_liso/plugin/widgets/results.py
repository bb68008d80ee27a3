"""Step 5: what the fit says, in words, in a table and as a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_liso.plugin.context import Context
from napari_liso.plugin.widgets.boundary_table import BoundaryTable
from napari_liso.plugin.widgets.parts import Panel, form, format_estimate, plain_estimate
from napari_liso.plugin.widgets.profile_plot import ProfilePlot

if TYPE_CHECKING:
    from napari_liso.diffusion.results import DiffusionFit, Estimate

__all__ = ["ResultsPanel", "summary"]

_VERDICTS = {
    "resolved": "resolved",
    "lower_bound": "with a lower bound",
    "upper_bound": "with an upper bound",
    "unresolved": "that the data leave open",
}

_TOOLTIPS = {
    "Boundaries": "What the data say about each boundary's permeability",
    "D of the grains": "Tracer diffusivity inside the grains in m²/s, with its 95 % interval",
    "Median k": "Median permeability of the boundaries in m/s, with its 95 % interval",
    "Spread of ln k": (
        "Standard deviation of the natural logarithm of k over the boundaries, with its 95 % "
        "interval: 0.7 means that most lie within a factor of two of the median"
    ),
    "χ² / freedom": (
        "Pearson chi-square per degree of freedom: near 1 where the model explains the counts; "
        "above 1 the intervals are widened"
    ),
}


def _estimate(estimate: Estimate, unit: str = "") -> str:
    """Write an estimate with its unit; one without a unit is a number near one."""
    write = format_estimate if unit else plain_estimate
    text = write(estimate.value, estimate.lower, estimate.upper, estimate.verdict)
    note = "(not resolved)" if estimate.verdict == "unresolved" else ""
    return " ".join(part for part in (text, unit, note) if part)


def summary(fit: DiffusionFit) -> dict[str, str]:
    """Return the fit in a few lines of plain words: what, and its value with unit."""
    counts = fit.table["verdict"].value_counts()
    verdicts = ", ".join(
        f"{counts[key]} {words}" for key, words in _VERDICTS.items() if counts.get(key, 0)
    )
    return {
        "Boundaries": f"{len(fit.table)}: {verdicts}",
        "D of the grains": _estimate(fit.diffusivity, "m²/s"),
        "Median k": _estimate(fit.population.centre, "m/s"),
        "Spread of ln k": _estimate(fit.population.spread),
        "χ² / freedom": f"{fit.dispersion:.2f}",
    }


class ResultsPanel(Panel):
    """Summary, warnings, the ranked boundaries and the profile of the selected one."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.hint = QLabel("No fit yet. It needs counts, boundaries and the experiment.")
        self.hint.setWordWrap(True)
        self.lines: dict[str, QLabel] = {}
        self.summary = QWidget()
        rows = form()
        for title, tooltip in _TOOLTIPS.items():
            value = QLabel()
            value.setWordWrap(True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setToolTip(tooltip)
            value.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
            rows.addRow(title, value)
            self.lines[title] = value
        self.summary.setLayout(rows)
        self.warnings = QLabel()
        self.warnings.setWordWrap(True)
        self.warnings.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = BoundaryTable(context, ("id", "k", "interval", "verdict"))
        self.plot = ProfilePlot(context)
        self.column.addWidget(self.hint)
        self.column.addWidget(self.summary)
        self.column.addWidget(self.warnings)
        self.column.addWidget(self.table)
        self.column.addWidget(self.plot)
        context.boundaries_changed.connect(self.refresh)
        self.refresh()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if self.context.current_fit() is not None else "nothing yet"

    def refresh(self) -> None:
        """Show the fit of the chosen boundaries layer."""
        fit = self.context.current_fit()
        found = self.context.boundaries.current is not None
        self.table.setVisible(fit is not None)
        self.plot.setVisible(found)
        self.warnings.setVisible(fit is not None and bool(fit.warnings))
        self.summary.setVisible(fit is not None)
        self.hint.setVisible(fit is None)
        if fit is None:
            return
        for title, value in summary(fit).items():
            self.lines[title].setText(value)
        self.warnings.setText("\n".join(f"⚠ {text}" for text in fit.warnings))
