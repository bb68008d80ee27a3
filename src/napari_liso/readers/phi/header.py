"""PHI (Physical Electronics) headers: what the instrument says about itself.

A SmartSoft header is ASCII between ``SOFH`` and ``EOFH``: first ``Key: value``
lines, then ``[Section]`` with ``key=value`` lines. The same bytes survive in
SIMS-H5 archives. When a spectrum is recalibrated later, the instrument's
software leaves the header as it is and appends a block of ASCII (record type
14) with the new coefficients, so that block wins.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from napari_liso.errors import FormatError
from napari_liso.readers.calibration import MassCalibration
from napari_liso.units import from_um

__all__ = [
    "ASCII_INFO_RECORD",
    "Header",
    "appended_calibration",
    "choose_calibration",
    "mass_calibration",
    "parse_header",
    "range_warnings",
]

#: Record type of the appended ASCII information blocks.
ASCII_INFO_RECORD = 14

_SECTION = re.compile(r"\[(.+)\]$")
_ZERO_CELSIUS = 273.15  # K
#: Recalibration moves the slope by well below a per cent; more is damage.
_MAX_RECALIBRATION = 0.02
#: So far may the pulses of a frame be from a whole number a pixel: less than one
#: pulse for the beam's way back in each line, more than the rounding of the header.
_WHOLE = 0.002
_MAX_PULSES = 250  # beyond, rounding alone comes near to `_WHOLE`


def mass_calibration(slope: float, offset: float, source: str) -> MassCalibration:
    """Return PHI's calibration: `slope` in sqrt(u)/us, times in the file in ps."""
    return MassCalibration(slope, offset, source, ticks_per_unit=1e6, unit="us")


@dataclass(frozen=True)
class Header:
    """The text header, by section; the lines before any section are in ``""``."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)

    def text(self, key: str, section: str = "") -> str | None:
        """Return a value as text, or None where it is absent or empty."""
        return self.sections.get(section, {}).get(key) or None

    def number(self, key: str, section: str = "") -> float | None:
        """Return the first number of a value, or None where there is no finite one.

        Settings that differ between polarities are written ``for this, for other``.
        """
        text = self.text(key, section)
        if text is None:
            return None
        try:
            value = float(text.split(",")[0])
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def raster_size(self) -> tuple[float, float] | None:
        """Return the (y, x) size of the analysis raster in m, or None where not stated.

        Several guns have a ``Raster Size (um)``; the liquid-metal ion gun is the
        one that makes the image. Its ``Raster Size Calibration`` is already in
        the size and must not be applied.
        """
        size = self.number("Raster Size (um)", "PHI LMIG")
        if size is not None and from_um(size) > 0:
            return from_um(size), from_um(size)
        y, x = self.number("ScanWidthY"), self.number("ScanWidthX")
        if y is not None and x is not None and from_um(y) > 0 and from_um(x) > 0:
            return from_um(y), from_um(x)
        return None

    def stage_position(self) -> list[float] | None:
        """Return the (y, x) of the image's centre on the stage in m, or None."""
        y, x = self.number("ImageCenterStageY(mm)"), self.number("ImageCenterStageX(mm)")
        return None if y is None or x is None else [y * 1e-3, x * 1e-3]

    def polarity(self) -> str | None:
        """Return ``"positive"`` or ``"negative"``, or None where unstated or contradictory."""
        signs = {
            (self.text("SecIonPolarity") or "")[:1],
            (self.text("Polarity", "Polarity") or "")[:1].upper(),
        } - {""}
        for name, marks in (("positive", {"+", "P"}), ("negative", {"-", "N"})):
            if signs and signs <= marks:
                return name
        return None

    def pulses_per_pixel(self) -> int | None:
        """Return the primary pulses that each pixel gets in a frame, or None where unclear.

        The header does not state the number. It states the time of a frame and
        the period of a pulse, whose ratio is the pulses of a frame; these are
        shared by the pixels and, depending on the raster, the way back of the
        beam and its settling, of which the header says nothing. Only if the
        ratio is the pixels times a whole number nothing is left for the latter,
        and the number is known: on a nanoTOF II with a scattered raster of 256 x 256
        the ratio is 65536 +- 1, one pulse a pixel, and indeed no peak is seen
        twice in one pixel of one frame. Otherwise it would be a guess. Nor is it
        known for mosaics, whose frame time may be that of a tile or of all, nor
        with MS/MS, whose pulses are shared between two spectra.
        """
        pixels = self.number("ImagePixels")
        time = self.number("TimePerFrameInS")
        period = self.number("Estimated Cycle Period (us)", "Acq Base")
        if not pixels or not time or not period or min(pixels, time, period) <= 0:
            return None
        if self.msms() or (self.text("Mosaic Active", "Acq Base") or "False") != "False":
            return None
        each = time / (period * 1e-6) / pixels**2
        if not 0.5 < each < _MAX_PULSES or abs(each - round(each)) > _WHOLE:
            return None
        return round(each)

    def msms(self) -> bool:
        """Whether fragments were recorded too (tandem mass spectrometry)."""
        return (self.text("MSMS Active", "Acq Base") or "Inactive") not in ("Inactive", "False")

    def calibration(self) -> MassCalibration | None:
        """Return the calibration written when the measurement began."""
        slope, offset = self.number("Mass/Time"), self.number("MassOffset")
        if slope is None or offset is None:
            return None
        return mass_calibration(slope, offset, "header")

    def facts(self) -> dict[str, Any]:
        """Return what is worth keeping about a measurement, SI, JSON-able."""
        temperature = self.number("Temperature(C)", "Hot Cold Stage")
        pulse_rate = self.number("AcqPulseRate(kHz)")
        period = self.number("Estimated Cycle Period (us)", "Acq Base")
        found: dict[str, Any] = {
            "instrument": self.text("InstrumentModel"),
            "software": self.text("SoftwareVersion"),
            "acquired": self.text("AcqFileDate"),
            "primary_ion": self.text("AcqPrimSpecies"),
            "beam_energy_V": self.number("Beam Energy (V)", "PHI LMIG"),
            "stage_temperature_K": None if temperature is None else temperature + _ZERO_CELSIUS,
            "pulse_rate_Hz": None if pulse_rate is None else pulse_rate * 1e3,
            "time_per_frame_s": self.number("TimePerFrameInS"),
            "pulse_period_s": None if period is None else period * 1e-6,
            "pulses_per_pixel_and_frame": self.pulses_per_pixel(),
            "raster_pattern": self.text("Raster Pattern", "Acq Base"),
            "stage_position_m": self.stage_position(),
            "start_mass_u": self.number("Start Mass (amu)", "Acq Base"),
            "end_mass_u": self.number("End Mass (amu)", "Acq Base"),
        }
        return {key: value for key, value in found.items() if value is not None}


def parse_header(raw: bytes) -> Header:
    """Read a header; unknown lines are skipped, the first of equal keys counts.

    Parameters
    ----------
    raw
        The header's bytes, with or without padding.

    Raises
    ------
    ValueError
        If the bytes do not begin with ``SOFH``.
    """
    if not raw.startswith(b"SOFH"):
        raise ValueError("the header does not begin with SOFH")
    sections: dict[str, dict[str, str]] = {"": {}}
    current = sections[""]
    for line in raw.decode("latin-1").splitlines()[1:]:
        line = line.strip("\0 \t")
        if line == "EOFH":
            break
        section = _SECTION.match(line) if line.startswith("[") else None
        if section:
            current = sections.setdefault(section[1], {})
            continue
        key, found, value = line.partition(": " if current is sections[""] else "=")
        if found:
            current.setdefault(key.strip(), value.strip())
    return Header(sections)


def appended_calibration(blocks: Iterable[bytes]) -> MassCalibration | None:
    """Return the newest calibration in appended ASCII blocks, or None.

    Parameters
    ----------
    blocks
        Payloads of the record-type-14 blocks in the order of the file.
    """
    newest = None
    for block in blocks:
        lines = (line.partition(":") for line in block.decode("latin-1").splitlines())
        entries = {key.strip(): value.strip() for key, found, value in lines if found}
        if entries.get("AI_Calibrated", "TRUE").upper() != "TRUE":
            continue
        header = Header({"": entries})
        slope, offset = header.number("Mass/Time"), header.number("MassOffset")
        if slope is not None and offset is not None:
            source = "appended block"
            date = entries.get("BlockAppendedDate")
            newest = mass_calibration(slope, offset, f"{source} of {date}" if date else source)
    return newest


def choose_calibration(
    path: str | PathLike[str],
    appended: MassCalibration | None,
    others: Sequence[MassCalibration],
    warnings: list[str],
) -> tuple[MassCalibration, list[MassCalibration]]:
    """Return the calibration to use and those that it replaces.

    Parameters
    ----------
    path
        The file, for errors.
    appended
        The newest appended calibration; it wins.
    others
        Those written when the measurement began, the one to prefer first.
    warnings
        Is told if the mass scale is not the one of the header.

    Raises
    ------
    FormatError
        If there is none, or they differ by more than any recalibration does.
    """
    candidates = [*([] if appended is None else [appended]), *others]
    if not candidates:
        raise FormatError(path, "holds no mass calibration")
    used = candidates[0]
    for candidate in candidates:
        if (
            not candidate.is_sensible()
            or abs(candidate.slope / used.slope - 1) > _MAX_RECALIBRATION
        ):
            raise FormatError(path, f"its mass calibrations contradict each other: {candidates}")
    superseded = [
        other
        for other in candidates[1:]
        if (other.slope, other.offset) != (used.slope, used.offset)
    ]
    if appended is not None and superseded:
        worst = superseded[0]
        time = used.ticks(100.0)
        shift = (float(worst.mass(time)) / 100.0 - 1) * 1e6
        warnings.append(
            f"The mass scale was recalibrated after the measurement ({used.source}); that "
            f"calibration is used. The older one reads {shift:+.0f} ppm at 100 u, as other "
            "programs may show."
        )
    return used, superseded


def range_warnings(
    windows: Mapping[str, tuple[float, float]] | None, facts: Mapping[str, Any]
) -> list[str]:
    """Say which windows lie where nothing was recorded; `facts` as of `Header.facts`."""
    start, end = facts.get("start_mass_u"), facts.get("end_mass_u")
    return [
        f"The window of {name} reaches out of the recorded masses, {start} to {end} u."
        for name, (low, high) in (windows or {}).items()
        if (start is not None and low < start) or (end is not None and high > end)
    ]
