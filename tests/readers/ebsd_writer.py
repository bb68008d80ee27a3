"""Writes EBSD maps as EDAX and Oxford text, from the published descriptions of the formats."""

from __future__ import annotations

import numpy as np


def ang(
    euler: np.ndarray,
    phase: np.ndarray,
    step: float = 0.25,
    symmetry: tuple[str, ...] = ("43",),
    *,
    named: bool = False,
    single: bool = False,
) -> str:
    """A square grid; angles in rad, step in um. `single`: phase numbers are written as 0."""
    rows, columns = phase.shape
    points = []
    for (y, x), number in np.ndenumerate(phase):
        points.append(_point(euler[y, x], x * step, y * step, number, single, y * columns + x))
    head = _ang_header("SqrGrid", (step, step), (columns, columns, rows), symmetry, named)
    return "\n".join([*head, *points]) + "\n"


def hex_ang(euler_at, columns: int, rows: int, step: float = 0.25) -> str:
    """A hexagonal grid with `columns` in odd and one less in even rows; angles of (y, x) in um."""
    dy = step * np.sqrt(3) / 2
    points = []
    for row in range(rows):
        for column in range(columns - row % 2):
            x, y = (column + 0.5 * (row % 2)) * step, row * dy
            points.append(_point(euler_at(y, x), x, y, 1, True, column))
    head = _ang_header("HexGrid", (step, dy), (columns, columns - 1, rows), ("43",), False)
    return "\n".join([*head, *points]) + "\n"


def _point(euler, x: float, y: float, number: int, single: bool, quality: float) -> str:
    angles, confidence = (euler, 0.9) if number else ((4 * np.pi,) * 3, -1.0)
    first = " ".join(f"{v:9.5f}" for v in angles)
    shown = 0 if single else number
    return f"{first} {x:12.5f} {y:12.5f} {quality:7.1f} {confidence:6.3f} {shown:2d} 100 1.2"


def _ang_header(grid, step, size, symmetry, named) -> list[str]:
    head = ["# TEM_PIXperUM          1.000000", "# x-star                0.5", "#"]
    for number, code in enumerate(symmetry, start=1):
        head += [f"# Phase {number}", f"# MaterialName  \tCrystal {number}", "# Info",
                 f"# Symmetry              {code}",
                 "# LatticeConstants      3.9 3.9 3.9  90.000  90.000  90.000",
                 "# NumberFamilies        1", "# hklFamilies   \t 1  1  1 1 0.0", "#"]  # fmt: skip
    head += [f"# GRID: {grid}", f"# XSTEP: {step[0]:.6f}", f"# YSTEP: {step[1]:.6f}",
             f"# NCOLS_ODD: {size[0]}", f"# NCOLS_EVEN: {size[1]}", f"# NROWS: {size[2]}", "#",
             "# OPERATOR: \tsomebody", "#"]  # fmt: skip
    if named:
        head.append("# COLUMN_HEADERS: phi1, PHI, phi2, x, y, IQ, CI, Phase index, SEM, Fit")
    return head


def ctf(
    euler: np.ndarray,
    phase: np.ndarray,
    step: tuple[float, float] = (0.5, 0.5),
    laue: tuple[tuple[int, int], ...] = ((11, 225),),
    decimal: str = ".",
) -> str:
    """A grid; angles in rad, written in degrees; steps (y, x) in um; (Laue class, space group)."""
    rows, columns = phase.shape
    lines = [
        "Channel Text File", "Prj\tC:\\maps\\one.cpr", "Author\t[Unknown]", "JobMode\tGrid",
        f"XCells\t{columns}", f"YCells\t{rows}", f"XStep\t{step[1]:g}", f"YStep\t{step[0]:g}",
        "AcqE1\t0", "AcqE2\t0", "AcqE3\t0",
        "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t200\tCoverage\t100",
        f"Phases\t{len(laue)}",
    ]  # fmt: skip
    for number, (group, space) in enumerate(laue, start=1):
        lines.append(f"3.9;3.9;3.9\t90;90;90\tCrystal {number}\t{group}\t{space}\t\t\tsource")
    lines.append("Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS")
    for (y, x), number in np.ndenumerate(phase):
        angles = np.rad2deg(euler[y, x]) if number else np.zeros(3)
        words = [f"{number}", f"{x * step[1]:.4f}", f"{y * step[0]:.4f}", "8", "0",
                 *(f"{v:.4f}" for v in angles), "0.6", f"{y * columns + x}", "0"]  # fmt: skip
        lines.append("\t".join(words))
    return ("\r\n".join(lines) + "\r\n").replace(".", decimal)
