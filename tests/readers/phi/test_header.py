"""PHI headers and the calibration that is appended to a measurement."""

from __future__ import annotations

import pytest

from napari_liso.readers.phi.header import appended_calibration, mass_calibration, parse_header

RAW = b"""SOFH\r
InstrumentModel: nanoTOF II\r
Operator: \r
AcqFilename: C:\\data\\a: b.raw\r
Mass/Time: 0.3798407\r
MassOffset: -1.5871250\r
AcqPulseRate(kHz): 8.1228\r
ScanWidthX: 80.00000\r
ScanWidthY: 40.00000\r
[Hot Cold Stage]\r
Temperature(C)=-105.5\r
[PHI LMIG]\r
Beam Energy (V)=30000.0\r
Raster Size (um)=60.0\r
Raster Size Calibration=1.600, 1.550\r
Lens 1 (V)=-446.4, -500.0\r
[Cesium]\r
Raster Size (um)=1000.0\r
no value here\r
EOFH\r
Mass/Time: 9\r
""".ljust(2000, b"\0")


def test_values_by_section() -> None:
    header = parse_header(RAW)
    assert header.text("InstrumentModel") == "nanoTOF II"
    assert header.text("AcqFilename") == "C:\\data\\a: b.raw"
    assert header.text("Operator") is None
    assert header.number("Raster Size (um)", "Cesium") == 1000.0
    assert header.number("Lens 1 (V)", "PHI LMIG") == -446.4
    assert header.number("InstrumentModel") is None
    assert header.number("Mass/Time") == 0.3798407
    assert header.text("anything", "nowhere") is None


def test_the_ion_gun_s_raster_counts_and_its_calibration_does_not() -> None:
    assert parse_header(RAW).raster_size() == pytest.approx((60e-6, 60e-6))
    without = RAW.replace(b"[PHI LMIG]", b"[Other gun]")
    assert parse_header(without).raster_size() == pytest.approx((40e-6, 80e-6))
    for value in (b"0.0", b"nan", b"inf", b"much"):
        none = without.replace(b"ScanWidthX: 80.00000", b"ScanWidthX: " + value)
        assert parse_header(none).raster_size() is None


def test_facts_are_in_si() -> None:
    facts = parse_header(RAW).facts()
    assert facts["stage_temperature_K"] == pytest.approx(167.65)
    assert facts["pulse_rate_Hz"] == pytest.approx(8122.8)
    assert facts["beam_energy_V"] == 30000.0
    assert "software" not in facts


def test_other_bytes_are_no_header() -> None:
    with pytest.raises(ValueError, match="SOFH"):
        parse_header(b"\0SOFH")


def test_calibration_there_and_back() -> None:
    calibration = mass_calibration(0.37976, -1.58662, "test")
    # Cs+ by hand: sqrt(132.9049) = 11.528439, (11.528439 + 1.58662) / 0.37976 us.
    assert calibration.ticks(132.9049) == pytest.approx(34.535125e6, rel=1e-6)
    assert calibration.mass(calibration.ticks(132.9049)) == pytest.approx(132.9049)
    # Before mass zero there is no mass, and none is folded back.
    assert calibration.mass([0.0, 1e6]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("slope", "offset"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (1.0, float("inf"))]
)
def test_calibrations_that_are_none(slope: float, offset: float) -> None:
    assert not mass_calibration(slope, offset, "").is_sensible()


# As the instrument of the copper sample wrote it.
BLOCK = (
    b"AppendedBlockType: AsciiInfoBlock01\r\nBlockAppendedDate: 09/22/2025 15:38:35\r\n"
    b"AI_Calibrated: TRUE\r\nAI_Calibrate_ScoreML: 99\r\n"
    b"Calibration: 3  (27.023482, C2+H3, 27.023460) \r\n"
    b"Mass/Time: 0.379760\r\nMassOffset: -1.586620\r\n\x1a\x01\x00\x00"
)


def test_appended_calibration() -> None:
    found = appended_calibration([BLOCK])
    assert found == mass_calibration(0.37976, -1.58662, "appended block of 09/22/2025 15:38:35")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\xff\xfe\0",
        BLOCK.replace(b"TRUE", b"FALSE"),
        BLOCK.replace(b"0.379760", b"none"),
        BLOCK.replace(b"MassOffset", b"Offset"),
    ],
)
def test_blocks_without_a_calibration(block: bytes) -> None:
    assert appended_calibration([block]) is None
    found = appended_calibration([BLOCK, block])
    assert found is not None
    assert found.slope == 0.37976
