"""Writes text as ION-TOF's software exports it: spectra, depth profiles, voxels."""

from __future__ import annotations

from collections.abc import Sequence

END = "\r\n"


def spectrum(
    counts: Sequence[float],
    binning: int = 200,
    sf: float = 33000.0,
    k0: float = -360.0,
    deadtime: str | None = "on",
) -> str:
    """A spectrum whose bin n begins at channel n * binning; channels are bins' middles."""
    lines = [f"# Binning: {binning} channels"]
    if deadtime is not None:
        lines.append(f"# Deadtime Correction: {deadtime}")
    lines.append("Channel\tm/z\tIntensity")
    for number, count in enumerate(counts):
        channel = binning * number + binning / 2
        lines.append(f"{channel:.10g}\t{((channel - k0) / sf) ** 2:.6f}\t{count:.10g}")
    return END.join([*lines, ""])


def profile(
    names: Sequence[str],
    masses: Sequence[str],
    rows: Sequence[Sequence[object]],
    smoothing: str = "Disabled",
) -> str:
    """A depth profile; a row is intensities, its time is two seconds a step."""
    lines = [
        f"# Profile Smoothing is {smoothing}",
        "\t".join(["#", "", "", "", *names, ""]),
        "\t".join(["#", "", "", "", *masses, ""]),
        "\t".join(
            ["#Data Point #", "Sputter Time (s)", "Dose (ions)", "Fluence (ions/cm^2)"]
            + ["Intensity"] * len(names)
            + [""]
        ),
    ]
    for number, row in enumerate(rows):
        cells = [number + 1, 2.0 * number, f"{1e10 * number:g}", f"{1e12 * number:g}", *row, ""]
        lines.append("\t".join(map(str, cells)))
    return END.join([*lines, ""])


def voxels(
    cube: Sequence[Sequence[Sequence[float]]],
    remarks: Sequence[str] = ("# x y scan intensity",),
    zeros: bool = True,
    scans: bool = True,
    order: str = "syx",
) -> str:
    """The voxels of cube[scan][y][x], y from the bottom; the last of `order` is fastest."""
    rows = []
    sizes = {"s": len(cube), "y": len(cube[0]), "x": len(cube[0][0])}
    a, b, c = order
    for i in range(sizes[a]):
        for j in range(sizes[b]):
            for k in range(sizes[c]):
                at = {a: i, b: j, c: k}
                value = cube[at["s"]][at["y"]][at["x"]]
                if value or zeros:
                    place = f"{at['x']} {at['y']} {at['s']}" if scans else f"{at['x']} {at['y']}"
                    rows.append(f"{place} {value:g}")
    return END.join([*remarks, *rows, ""])
