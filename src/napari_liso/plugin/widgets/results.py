"""Step 5: what the fit says, in words, in a table and as a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_liso.plugin.context import Context
from napari_liso.plugin.widgets.boundary_table import BoundaryTable
from napari_liso.plugin.widgets.parts import Panel, format_estimate
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


def _estimate(estimate: Estimate, unit: str) -> str:
    text = format_estimate(estimate.value, estimate.lower, estimate.upper, estimate.verdict)
    note = " (not resolved)" if estimate.verdict == "unresolved" else ""
    return f"{text} {unit}{note}"


def summary(fit: DiffusionFit) -> str:
    """Return the fit in a few lines of plain words."""
    counts = fit.table["verdict"].value_counts()
    verdicts = ", ".join(
        f"{counts[key]} {words}" for key, words in _VERDICTS.items() if counts.get(key, 0)
    )
    spread = fit.population.spread
    lines = [
        f"{len(fit.table)} boundaries: {verdicts}.",
        f"Grain diffusivity D: {_estimate(fit.diffusivity, 'm²/s')}",
        f"Median permeability k: {_estimate(fit.population.centre, 'm/s')}",
        f"Spread of ln k: {spread.value:.2f} ({spread.lower:.2f} to {spread.upper:.2f})",
        f"χ² per degree of freedom: {fit.dispersion:.2f}",
    ]
    return "\n".join(lines)


class ResultsPanel(Panel):
    """Summary, warnings, the ranked boundaries and the profile of the selected one."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.summary.setToolTip("Values with their 95 % intervals")
        self.warnings = QLabel()
        self.warnings.setWordWrap(True)
        self.warnings.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = BoundaryTable(context, ("id", "k", "interval", "verdict"))
        self.plot = ProfilePlot(context)
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
        if fit is None:
            self.summary.setText("No fit yet. It needs counts, boundaries and the experiment.")
            return
        self.summary.setText(summary(fit))
        self.warnings.setText("\n".join(f"⚠ {text}" for text in fit.warnings))
