"""Crystal symmetry: proper point groups, and the angle between two lattices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

__all__ = [
    "PROPER_GROUPS",
    "Phase",
    "bunge_angles",
    "misorientation_angle",
    "nearest_equivalents",
    "proper_group",
    "quaternions",
]

Floats = NDArray[np.float64]

#: Schoenflies symbols of the eleven groups of rotations that crystals have.
PROPER_GROUPS = {
    "1": "C1", "2": "C2", "222": "D2", "3": "C3", "32": "D3", "4": "C4", "422": "D4",
    "6": "C6", "622": "D6", "23": "T", "432": "O",
}  # fmt: skip

#: The rotations of the other 21 point groups, by Laue class.
_ROTATIONS = {
    "1": ("-1",),
    "2": ("m", "2/m"),
    "222": ("mm2", "mmm"),
    "3": ("-3",),
    "32": ("3m", "-3m"),
    "4": ("-4", "4/m"),
    "422": ("4mm", "-42m", "4/mmm"),
    "6": ("-6", "6/m"),
    "622": ("6mm", "-6m2", "6/mmm"),
    "23": ("m-3", "m3"),
    "432": ("-43m", "m-3m", "m3m"),
}

#: Pairs that are compared at once: 24 rotations of each fit a processor's cache.
_BLOCK = 2**14


def proper_group(point_group: str) -> str:
    """Return the rotations that an EBSD pattern tells apart, of any of the 32 point groups.

    A diffraction pattern has a centre of symmetry whether the crystal has one or not,
    so orientations are known up to the rotations of its Laue class: of -43m, for
    instance, m-3m, whose rotations are 432.

    Raises
    ------
    ValueError
        If the symbol (international, short) is unknown.
    """
    symbol = point_group.replace(" ", "")
    if symbol in PROPER_GROUPS:
        return symbol
    for group, others in _ROTATIONS.items():
        if symbol in others:
            return group
    raise ValueError(f"unknown point group {point_group!r}; such as 'm-3m' or '432'")


@dataclass(frozen=True)
class Phase:
    """A crystalline phase of an EBSD map.

    Attributes
    ----------
    name
        Of the material.
    group
        Its rotations (`PROPER_GROUPS`).
    axis
        Cartesian axis of the crystal frame along the main rotation axis: z, but for the
        settings of monoclinic phases.
    turn
        Angle in rad about the main axis by which the other twofold axes are turned from
        the x axis; of consequence for 32 only, where makers have different x axes.
    """

    name: str
    group: str
    axis: Literal["x", "y", "z"] = "z"
    turn: float = 0.0

    def __post_init__(self) -> None:
        if self.group not in PROPER_GROUPS:
            raise ValueError(
                f"group must be one of {', '.join(PROPER_GROUPS)}, got {self.group!r}; "
                "proper_group() gives that of any point group"
            )

    def operators(self) -> Floats:
        """Return the rotations of the group as unit quaternions (x, y, z, w), (operator, 4)."""
        group = Rotation.create_group(PROPER_GROUPS[self.group], axis=self.axis.upper())
        turned = Rotation.from_euler(self.axis, self.turn)
        return np.atleast_2d((turned * group * turned.inv()).as_quat())


def misorientation_angle(one: ArrayLike, other: ArrayLike, operators: ArrayLike) -> Floats:
    r"""Angle between the lattices of two crystals of one phase: the disorientation.

    The smallest angle of all rotations that bring one lattice onto the other.

    Parameters
    ----------
    one, other
        Orientations as unit quaternions (x, y, z, w), (..., 4): the rotation from the
        crystal's frame to the sample's.
    operators
        Rotations of the crystal's group (`Phase.operators`).

    Returns
    -------
    array
        (...) in rad; at most 1.096 (62.8 degrees) for cubic crystals.

    Notes
    -----
    With the misorientation :math:`q = q_1^{-1} q_2` and the operators :math:`s`,
    :math:`\theta = 2 \arccos \max_s |w(q s)|`; operators on both sides give the same
    angles, as the scalar part :math:`w(s q s') = w(q s' s)`.
    """
    a, b = np.broadcast_arrays(np.asarray(one, dtype=float), np.asarray(other, dtype=float))
    shape = a.shape[:-1]
    a, b = a.reshape(-1, 4), b.reshape(-1, 4)
    # w(q s) = q . (-x, -y, -z, w) of s
    conjugate = (np.asarray(operators, dtype=float) * (-1, -1, -1, 1)).T
    angle = np.empty(len(a))
    for start in range(0, len(a), _BLOCK):
        piece = slice(start, start + _BLOCK)
        largest = np.abs(_difference(a[piece], b[piece]) @ conjugate).max(axis=1)
        angle[piece] = 2 * np.arccos(np.minimum(largest, 1.0))
    return angle.reshape(shape)


def _product(one: Floats, other: Floats) -> Floats:
    """Quaternions of one other, (n, 4)."""
    ax, ay, az, aw = one.T
    bx, by, bz, bw = other.T
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by + ay * bw + az * bx - ax * bz,
            aw * bz + az * bw + ax * by - ay * bx,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=1,
    )


def _difference(one: Floats, other: Floats) -> Floats:
    """Quaternions of one^-1 other, (n, 4)."""
    return _product(one * (-1, -1, -1, 1), other)


def quaternions(angles: ArrayLike) -> Floats:
    """Unit quaternions (x, y, z, w), (n, 4), of Bunge's Euler angles in rad, (n, 3).

    The rotation from the crystal's frame to the sample's. In closed form, which takes a
    small part of the time that `scipy.spatial.transform.Rotation.from_euler` takes.
    """
    phi1, phi, phi2 = np.asarray(angles, dtype=float).reshape(-1, 3).T
    half_sum, half_difference = (phi1 + phi2) / 2, (phi1 - phi2) / 2
    c, s = np.cos(phi / 2), np.sin(phi / 2)
    parts = (
        s * np.cos(half_difference),
        s * np.sin(half_difference),
        c * np.sin(half_sum),
        c * np.cos(half_sum),
    )
    return np.stack(parts, axis=1)


def bunge_angles(orientations: ArrayLike) -> Floats:
    """Bunge's Euler angles phi1, Phi, phi2 in rad, (n, 3), of unit quaternions (n, 4).

    phi1 and phi2 from 0 to 2 pi. Where Phi is 0 or pi only their sum, or difference, is
    determined; phi2 is then equal to phi1, or the opposite.
    """
    x, y, z, w = np.asarray(orientations, dtype=float).reshape(-1, 4).T
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(y, x)
    return np.stack(
        [
            (half_sum + half_difference) % (2 * np.pi),
            2 * np.arctan2(np.hypot(x, y), np.hypot(z, w)),
            (half_sum - half_difference) % (2 * np.pi),
        ],
        axis=1,
    )


def nearest_equivalents(orientations: Floats, references: Floats, operators: Floats) -> Floats:
    """Orientations, each multiplied by the operator that brings it nearest to its reference.

    Parameters
    ----------
    orientations, references
        (n, 4) quaternions (x, y, z, w).
    operators
        (operator, 4).

    Returns
    -------
    array
        (n, 4), with the sign of the reference.
    """
    found = np.empty_like(orientations)
    for start in range(0, len(found), _BLOCK):
        piece = slice(start, start + _BLOCK)
        apart = _difference(references[piece], orientations[piece])
        best = np.abs(apart @ (operators * (-1, -1, -1, 1)).T).argmax(axis=1)
        quaternion = _product(orientations[piece], operators[best])
        # q and -q are one rotation
        same = np.einsum("ij,ij->i", quaternion, references[piece])
        found[piece] = quaternion * np.where(same < 0, -1.0, 1.0)[:, None]
    return found
