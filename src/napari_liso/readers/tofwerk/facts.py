"""What a Tofwerk file says of itself: root attributes, field of view, table of peaks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers import _hdf5

__all__ = ["Facts", "Peak", "number", "read_facts", "read_peak_table"]

_MAX_PEAKS = 2**16
_MAX_TEXT = 200
_MILLIMETRE = 1e-3  # m

#: Attribute of the root and the name of the fact that is made of it.
_TEXTS = {
    "TofDAQ Version": "software",
    "HDF5 File Creation Time": "acquired",
    "AcquisitionTimeZero": "acquired",
    "Computer ID": "computer",
    "DAQ Hardware": "daq_hardware",
}
_NUMBERS = {
    "NbrWrites": "writes",
    "NbrSegments": "segments",
    "NbrBufs": "bufs",
    "NbrPeaks": "peaks_stated",
    "NbrSamples": "samples",
    "NbrWaveforms": "waveforms",
    "NbrBlocks": "blocks",
}


@dataclass(frozen=True)
class Peak:
    """A peak that was chosen at the instrument.

    Parameters
    ----------
    label
        Its name there.
    mass, lower, upper
        Centre and window, u; NaN where not stated.
    """

    label: str
    mass: float
    lower: float
    upper: float

    @property
    def nominal(self) -> bool:
        """Whether it is one of the bins of a mass unit that every file has."""
        return self.label.lower().startswith("nominal")

    def as_metadata(self) -> dict[str, Any]:
        """Return the peak as JSON-able facts."""
        numbers = {"mass_u": self.mass, "lower_u": self.lower, "upper_u": self.upper}
        return {
            "label": self.label,
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
        }


@dataclass(frozen=True)
class Facts:
    """What is known of the measurement.

    Parameters
    ----------
    view_field
        Width of the image in m, or None.
    metadata
        JSON-able facts.
    warnings
        What is doubtful.
    """

    view_field: float | None
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def pixel_size(self, columns: int) -> tuple[float, float] | None:
        """Return (y, x) in m of an image of so many columns; pixels are square."""
        if self.view_field is None:
            return None
        return self.view_field / columns, self.view_field / columns


def read_facts(file: h5py.File) -> Facts:
    """Return what the attributes of an open file say."""
    facts: dict[str, Any] = {
        "origin": "as stored; the format does not say which row is the top",
        "polarity": None,
    }
    warnings = []
    for name, fact in _TEXTS.items():
        value = text(_hdf5.attribute(file, name))
        if value:
            facts.setdefault(fact, value)
    for name, fact in _NUMBERS.items():
        count = number(_hdf5.attribute(file, name))
        if count is not None and count == int(count):
            facts[fact] = int(count)
    mode = (text(_hdf5.attribute(file, "IonMode")) or "").lower()
    if mode[:3] in ("pos", "neg"):
        facts["polarity"] = {"pos": "positive", "neg": "negative"}[mode[:3]]
    spectra = _hdf5.group(file, "FullSpectra")
    if spectra is not None:
        signal = number(_hdf5.attribute(spectra, "Single Ion Signal"))
        if signal is not None:
            facts["single_ion_signal"] = signal
    beam = _hdf5.group(file, "FIBParams")
    view = None
    if beam is None:
        warnings.append("The file has no /FIBParams: it may be no image of a focused ion beam.")
    else:
        view = number(_hdf5.attribute(beam, "ViewField"))
        for name, fact in (("Voltage", "beam_energy_V"), ("Current", "beam_current_A")):
            setting = number(_hdf5.attribute(beam, name))
            if setting is not None:
                facts[fact] = setting
        hardware = text(_hdf5.attribute(beam, "FibHardware"))
        if hardware:
            facts["instrument"] = hardware
    if view is not None and not 1e-9 < view < 1e3:
        warnings.append(f"The file states a field of view of {view:g} mm, which was not used.")
        view = None
    if view is not None:
        facts["field_of_view_m"] = view * _MILLIMETRE
    return Facts(None if view is None else view * _MILLIMETRE, facts, warnings)


def text(value: Any) -> str | None:
    """Return an attribute as one short line of text, None where it is none."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    line = " ".join(str(value).replace("\0", " ").split())
    return line[:_MAX_TEXT] or None


def number(value: Any) -> float | None:
    """Return an attribute as a finite number, None where it is none."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def read_peak_table(file: h5py.File) -> list[Peak]:
    """Return the table of peaks, empty where there is none.

    Raises
    ------
    FormatError
        If it is no table of labels and masses.
    """
    name = "PeakData/PeakTable"
    table = _hdf5.dataset(file, name, 1, kinds="V", max_size=_MAX_PEAKS)
    if table is None:
        return []
    fields = {part: _field(table.dtype, part) for part in ("label", "mass", "lower", "upper")}
    if fields["label"] is None or fields["mass"] is None:
        raise FormatError(file.filename, f"/{name} has no columns of labels and masses")
    rows = table[...]
    columns: dict[str, list[Any]] = {
        part: [None] * len(rows) if column is None else rows[column].tolist()
        for part, column in fields.items()
    }
    return [
        Peak(
            text(label) or "",
            *(math.nan if number(v) is None else float(v) for v in (mass, lower, upper)),
        )
        for label, mass, lower, upper in zip(
            columns["label"], columns["mass"], columns["lower"], columns["upper"], strict=True
        )
    ]


def _field(dtype: np.dtype[Any], beginning: str) -> str | None:
    """Return the column whose name begins so, such as ``lower integration limit``."""
    names = [name for name in dtype.names or () if name.strip().lower().startswith(beginning)]
    return names[0] if names else None
