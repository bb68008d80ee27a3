"""The docks: all steps in one, and some of them on their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_liso.plugin.context import Context
from napari_liso.plugin.widgets.boundaries import BoundariesPanel, BoundaryList
from napari_liso.plugin.widgets.checks.panel import ChecksPanel
from napari_liso.plugin.widgets.data import DataPanel
from napari_liso.plugin.widgets.fit import FitPanel
from napari_liso.plugin.widgets.frames.panel import FramesPanel
from napari_liso.plugin.widgets.labelling.grains import GrainsPanel
from napari_liso.plugin.widgets.labelling.panel import EditPanel
from napari_liso.plugin.widgets.parts import Panel
from napari_liso.plugin.widgets.ratio.panel import RatioPanel
from napari_liso.plugin.widgets.regions.band import BandPanel
from napari_liso.plugin.widgets.regions.panel import RegionsPanel
from napari_liso.plugin.widgets.results import ResultsPanel
from napari_liso.plugin.widgets.save_session import SaveSessionButton, UnsavedOffer
from napari_liso.plugin.widgets.spectra.mass_windows import MassWindowsPanel

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["AllSteps", "BoundaryDock", "MassWindowDock", "RatioDock", "Step"]


class Step(QFrame):
    """A numbered section that folds; its header says what is still missing."""

    toggled = Signal(bool)

    def __init__(self, title: str, panel: Panel, folded: bool = False) -> None:
        super().__init__()
        self.title = title
        self.panel = panel
        self.header = QToolButton()
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        font = self.header.font()
        font.setBold(True)
        self.header.setFont(font)
        self.header.setToolTip("Fold or unfold this step")
        self.header.toggled.connect(self._on_toggled)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(2)
        layout.addWidget(self.header)
        layout.addWidget(panel)
        self.header.setChecked(not folded)
        self._on_toggled(not folded)
        self.refresh()

    def _on_toggled(self, unfolded: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.panel.setVisible(unfolded)
        self.toggled.emit(unfolded)

    def unfold(self, unfolded: bool = True) -> None:
        """Show or hide the contents."""
        self.header.setChecked(unfolded)

    def refresh(self) -> None:
        """Say in the header what is missing, or that nothing is."""
        status = getattr(self.panel, "status", "")
        self.header.setText(f"{self.title}   {f'– {status}' if status else '✓'}")


class Dock(QScrollArea):
    """Steps under each other in a scroll area that fits a small screen.

    Attributes
    ----------
    context
        The layers that the steps share.
    steps
        In their order.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.context = Context(viewer, self)
        self.steps: list[Step] = []
        self._body = QWidget()
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(4, 4, 8, 4)
        self._column.setSpacing(4)
        self._column.addStretch(1)
        self.setWidget(self._body)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(340)

    def sizeHint(self) -> QSize:
        """Return the size of a new dock: narrow enough for a laptop's screen."""
        return QSize(380, 700)

    def add_step(self, title: str, panel: Panel, folded: bool = False) -> Step:
        """Add a step at the end, numbered if there are several."""
        step = Step(title, panel, folded)
        self.steps.append(step)
        self._column.insertWidget(self._column.count() - 1, step)
        return step

    def add_session(self) -> None:
        """Offer above the steps what a crash left behind, and save the session below them."""
        self.offer = UnsavedOffer(self.context)
        self.save = SaveSessionButton(self.context)
        self._column.insertWidget(0, self.offer)
        self._column.insertWidget(self._column.count() - 1, self.save)

    def follow(self) -> None:
        """Keep the headers of the steps up to date from now on."""
        context = self.context
        for signal in (
            context.layers_changed,
            context.boundaries_changed,
            context.tracer.changed,
            context.other.changed,
            context.grains.changed,
        ):
            signal.connect(self._refresh_steps)
        for step in self.steps:
            task = getattr(step.panel, "task", None)
            if task is not None:
                task.running_changed.connect(self._refresh_steps)
            changed = getattr(step.panel, "status_changed", None)
            if changed is not None:
                changed.connect(self._refresh_steps)
        self._refresh_steps()

    def event(self, event: QEvent | None) -> bool:
        """Stop what still runs when napari takes the dock out of its window."""
        left = event is not None and event.type() == QEvent.Type.ParentChange
        if left and self.parent() is None:
            for step in self.steps:
                for name in ("task", "spectrum_task"):
                    task = getattr(step.panel, name, None)
                    if task is not None:
                        task.cancel()
            QTimer.singleShot(0, self._end)
        return bool(super().event(event))

    def _end(self) -> None:
        """Stop following the layers for good; a script may still hold on to the dock."""
        if isalive(self) and self.parent() is None:
            self.deleteLater()

    def _refresh_steps(self) -> None:
        for step in self.steps:
            step.refresh()


class AllSteps(Dock):
    """From counts to the permeability of every boundary, in five steps."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        context = self.context
        self.data = DataPanel(context)
        self.windows = MassWindowsPanel(context)
        self.ratio = RatioPanel(context)
        self.boundaries = BoundariesPanel(context)
        self.fit = FitPanel(context)
        self.results = ResultsPanel(context)
        self.boundaries.picker.follow(self.fit, self.results)  # they use the selection, too
        self.data.add_windows(Step("Mass windows", self.windows), self.windows)
        fitted = context.current_fit() is not None
        self.add_step("1  Data", self.data, folded=fitted)
        self.add_step("2  Isotope fraction", self.ratio, folded=fitted)
        self.add_step("3  Boundaries", self.boundaries, folded=fitted)
        self.add_step("4  Fit", self.fit, folded=True)
        self._results = self.add_step("5  Results", self.results, folded=not fitted)
        self.add_session()
        self.fit.task.succeeded.connect(self._on_fit)
        self.follow()

    def _on_fit(self) -> None:
        if self.context.current_fit() is not None:
            self._results.unfold()
            QTimer.singleShot(0, self._scroll_to_results)  # once it has its place

    def _scroll_to_results(self) -> None:
        bar = self.verticalScrollBar()
        if isalive(self) and bar is not None:
            bar.setValue(self._results.y())


class RatioDock(Dock):
    """Isotope fraction on its own."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.data = DataPanel(self.context)
        self.ratio = RatioPanel(self.context)
        self.frames = FramesPanel(self.context)
        self.checks = ChecksPanel(self.context)
        self.regions = RegionsPanel(self.context)
        self.band = BandPanel(self.context)
        self.add_step("Data", self.data)
        self.add_step("Isotope fraction", self.ratio)
        self.add_step("Frames and drift", self.frames, folded=True)
        self.add_step("Checks", self.checks, folded=True)
        self.add_step("Regions", self.regions, folded=True)
        self.add_step("Line profile", self.band, folded=True)
        self.follow()


class BoundaryDock(Dock):
    """Grains and boundaries on their own, with all that edits them."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.data = DataPanel(self.context)
        self.grains = GrainsPanel(self.context)
        self.grains.eager = True
        self.edit = EditPanel(self.context)
        self.boundaries = BoundaryList(self.context)
        there = self.context.boundaries.current is not None
        self.add_step("1  Data", self.data, folded=True)
        self._grains = self.add_step("2  Grains", self.grains, folded=there)
        self._edit = self.add_step("3  Edit", self.edit)
        self.add_step("4  Boundaries", self.boundaries)
        self.grains.drawing_wanted.connect(self._on_drawing_wanted)
        self.boundaries.picker.follow(self.edit)
        self.edit.order = self.boundaries.order
        self.add_session()
        self.follow()

    def _on_drawing_wanted(self) -> None:
        self._edit.unfold()
        self.edit.choose("draw")


class MassWindowDock(Dock):
    """Mass windows on their own; opens by itself with a file that needs them."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.windows = MassWindowsPanel(self.context, remarks=True)
        self.data = DataPanel(self.context, remarks=False)
        self.add_step("Mass windows", self.windows)
        self.add_step("Data", self.data, folded=True)
        self.windows.available.connect(self._refresh_steps)
        self.windows.made.connect(self._refresh_steps)
        self.follow()
