"""Isotopes in names: which layers and pages are a pair, and where their peaks are."""

from __future__ import annotations

import re

from napari_liso.counting.measured import Measured

__all__ = ["guess_pair", "ion_mass", "isotope_of", "natural_fraction"]

_SYMBOLS = re.findall(
    r"\w+",
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U",
)

#: Atomic masses in u, AME2020; of each element the most abundant isotope first.
_ATOMIC_MASS = {
    ("H", 1): 1.007825, ("H", 2): 2.014102, ("Li", 7): 7.016003, ("Li", 6): 6.015123,
    ("B", 11): 11.009305, ("B", 10): 10.012937, ("C", 12): 12.0, ("C", 13): 13.003355,
    ("N", 14): 14.003074, ("N", 15): 15.000109, ("O", 16): 15.994915, ("O", 18): 17.999160,
    ("F", 19): 18.998403, ("Na", 23): 22.989769, ("Mg", 24): 23.985042, ("Mg", 26): 25.982593,
    ("Al", 27): 26.981538, ("Si", 28): 27.976927, ("P", 31): 30.973762, ("S", 32): 31.972071,
    ("Cl", 35): 34.968853, ("Cl", 37): 36.965903, ("K", 39): 38.963706, ("K", 41): 40.961825,
    ("Ca", 40): 39.962591, ("Ti", 48): 47.947941, ("V", 51): 50.943957, ("Cr", 52): 51.940505,
    ("Mn", 55): 54.938043, ("Fe", 56): 55.934936, ("Co", 59): 58.933194, ("Ni", 58): 57.935342,
    ("Cu", 63): 62.929597, ("Cu", 65): 64.927790, ("Zn", 64): 63.929142, ("Ga", 69): 68.925574,
    ("Ga", 71): 70.924703, ("Ge", 74): 73.921178, ("Br", 79): 78.918338, ("Sr", 88): 87.905613,
    ("Y", 89): 88.905838, ("Zr", 90): 89.904699, ("Nb", 93): 92.906373, ("Ag", 107): 106.905092,
    ("In", 115): 114.903879, ("Sn", 120): 119.902202, ("I", 127): 126.904472,
    ("Cs", 133): 132.905452, ("Ba", 138): 137.905247, ("La", 139): 138.906363,
    ("Ta", 181): 180.947998, ("W", 184): 183.950933, ("Au", 197): 196.966570,
    ("Pb", 208): 207.976652, ("Bi", 209): 208.980399,
}  # fmt: skip
_ELECTRON_MASS = 0.000549  # u
_ATOM = re.compile(r"(\d{0,3})([A-Z][a-z]?)")
_TIMES = re.compile(r"\d{0,2}")

#: Mass number of the rarer natural isotope of elements that are measured as a pair.
_TRACER = {"H": 2, "Li": 6, "B": 10, "C": 13, "N": 15, "O": 18, "Cl": 37, "K": 41, "Cu": 65}

#: Mole fractions of all isotopes of an element and their uncertainties, which cover what
#: normal terrestrial materials vary by: Berglund, Wieser, Pure Appl. Chem. 83 (2011) 397.
_ABUNDANCE = {
    ("H", 1): (0.999885, 0.000070), ("H", 2): (0.000115, 0.000070),
    ("Li", 6): (0.0759, 0.0004), ("Li", 7): (0.9241, 0.0004),
    ("B", 10): (0.199, 0.007), ("B", 11): (0.801, 0.007),
    ("C", 12): (0.9893, 0.0008), ("C", 13): (0.0107, 0.0008),
    ("N", 14): (0.99636, 0.00020), ("N", 15): (0.00364, 0.00020),
    ("O", 16): (0.99757, 0.00016), ("O", 17): (0.00038, 0.00001), ("O", 18): (0.00205, 0.00014),
    ("Mg", 24): (0.7899, 0.0004), ("Mg", 25): (0.1000, 0.0001), ("Mg", 26): (0.1101, 0.0003),
    ("Si", 28): (0.92223, 0.00019), ("Si", 29): (0.04685, 0.00008), ("Si", 30): (0.03092, 0.00011),
    ("S", 32): (0.9499, 0.0026), ("S", 33): (0.0075, 0.0002), ("S", 34): (0.0425, 0.0024),
    ("Cl", 35): (0.7576, 0.0010), ("Cl", 37): (0.2424, 0.0010),
    ("K", 39): (0.932581, 0.000044), ("K", 41): (0.067302, 0.000044),
    ("Ti", 46): (0.0825, 0.0003), ("Ti", 47): (0.0744, 0.0002), ("Ti", 48): (0.7372, 0.0003),
    ("Ti", 49): (0.0541, 0.0002), ("Ti", 50): (0.0518, 0.0002),
    ("Fe", 54): (0.05845, 0.00035), ("Fe", 56): (0.91754, 0.00036), ("Fe", 57): (0.02119, 0.00010),
    ("Ni", 58): (0.68077, 0.00019), ("Ni", 60): (0.26223, 0.00015),
    ("Cu", 63): (0.6915, 0.0015), ("Cu", 65): (0.3085, 0.0015),
}  # fmt: skip


def isotope_of(name: str) -> tuple[str, int] | None:
    """Return (element, mass number) of a name such as ``6Li+``, ``^65Cu`` or ``Li6``.

    None if the name does not begin with an isotope that can exist.
    """
    found = re.match(r"\W*(\d{1,3})([A-Z][a-z]?)(?![A-Za-z0-9])", name)
    element, number = (found.group(2), found.group(1)) if found else ("", "")
    if not found:
        found = re.match(r"\W*([A-Z][a-z]?)-?(\d{1,3})(?![A-Za-z0-9])", name)
        element, number = (found.group(1), found.group(2)) if found else ("", "")
    if element not in _SYMBOLS:
        return None
    protons = _SYMBOLS.index(element) + 1
    # no nucleus is made of protons alone but 1H, or of three times as many nucleons beyond 3H
    return (element, int(number)) if protons <= int(number) <= 2.7 * protons + 2 else None


def guess_pair(names: list[str]) -> tuple[int, int] | None:
    """Return the positions of tracer and other isotope among names, lithium first.

    The tracer is the rarer natural isotope. None if no element is there twice.
    """
    places: dict[tuple[str, int], int] = {}
    for place, name in enumerate(names):
        isotope = isotope_of(name)
        if isotope is not None:
            places.setdefault(isotope, place)
    elements = dict.fromkeys(element for element, _ in places)
    for element in sorted(elements, key=lambda e: e != "Li"):
        masses = sorted(number for e, number in places if e == element)
        if len(masses) < 2:
            continue
        tracer = _TRACER.get(element, masses[-1])
        tracer = tracer if tracer in masses else masses[-1]
        other = next(number for number in masses if number != tracer)
        return places[element, tracer], places[element, other]
    return None


def natural_fraction(element: str, tracer: int, other: int) -> Measured | None:
    r"""Return the fraction tracer/(tracer + other) of an element as it is in nature.

    Parameters
    ----------
    element
        Symbol, such as ``"Li"``.
    tracer, other
        Mass numbers of the two isotopes.

    Returns
    -------
    Measured or None
        With the uncertainty that covers normal terrestrial materials; None for
        isotopes that are not known here. Reagents may lie outside: lithium is sold
        with less than half of its 6Li.

    Notes
    -----
    ``c = a/(a + b)`` of the abundances. Of an element of two isotopes one
    abundance is what the other leaves, so that their errors add up on the logit
    scale: :math:`\sigma_c = c(1-c)(\sigma_a/a + \sigma_b/b)`, which is
    :math:`\sigma_a` then. The same is taken of the others, where it is the most
    that it can be.
    """
    first, second = _ABUNDANCE.get((element, tracer)), _ABUNDANCE.get((element, other))
    if first is None or second is None or tracer == other:
        return None
    share = first[0] / (first[0] + second[0])
    error = share * (1 - share) * (first[1] / first[0] + second[1] / second[0])
    return Measured(share, error, f"natural {tracer}{element}/{other}{element}, IUPAC 2009")


def ion_mass(name: str, polarity: str | None = None) -> float:
    """Return the mass in u of a singly charged ion, or a typed mass.

    Parameters
    ----------
    name
        An isotope such as ``6Li``, an element such as ``Na`` (its most abundant
        isotope), a formula such as ``6LiH``, ``H2`` or ``C2H5``, or a number in u.
        A trailing ``+`` or ``-`` is its charge.
    polarity
        ``"positive"`` or ``"negative"``, of ions whose name has no sign; None
        means positive. It matters: two electrons are 1090 ppm of hydrogen, 69 ppm
        of oxygen.

    Raises
    ------
    ValueError
        If the name is neither made of isotopes known here nor a number.
    """
    text = name.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 0:
        return float(text)
    negative = text.endswith("-") or (polarity == "negative" and not text.endswith("+"))
    electrons = 1 if negative else -1
    text = text.rstrip("+-").replace("^", "")
    isotope = isotope_of(text)
    # H2 is the molecule that every spectrum shows; deuterium is written 2H.
    if isotope in _ATOMIC_MASS and text != "H2":
        return _ATOMIC_MASS[isotope] + electrons * _ELECTRON_MASS
    atoms = _atoms(text)
    masses = [_atomic_mass(symbol, number) for number, symbol, _ in atoms]
    if not atoms or None in masses:
        raise ValueError(f"the mass of '{name.strip()}' is not known here: type a number in u")
    total = sum(
        times * mass for (_, _, times), mass in zip(atoms, masses, strict=True) if mass is not None
    )
    return total + electrons * _ELECTRON_MASS


def _atoms(formula: str) -> list[tuple[str, str, int]]:
    """Return (mass number or ``""``, symbol, times) of the atoms of a formula, none if it is none.

    Where the formula begins with a mass number, so may its other atoms: in
    ``7Li16O`` and ``12C14N`` nothing is there 16 or 14 times.
    """
    atoms = []
    place = 0
    while place < len(formula):
        atom = _ATOM.match(formula, place)
        if atom is None:
            return []
        number, symbol = atom.groups()
        following = _ATOM.match(formula, atom.end())
        place = atom.end()
        # the 2 of 13C2H5 is that of the carbon
        is_isotope = (
            formula[0].isdigit()
            and following is not None
            and following[2] != "H"
            and (following[2], int(following[1] or 0)) in _ATOMIC_MASS
        )
        times = ""
        if not is_isotope:
            times = _TIMES.match(formula, place)[0]  # type: ignore[index]
            place += len(times)
        atoms.append((number, symbol, int(times or 1)))
    return atoms


def _atomic_mass(symbol: str, number: str) -> float | None:
    """Return the mass of an atom, of the most abundant isotope where no number is given."""
    if number:
        return _ATOMIC_MASS.get((symbol, int(number)))
    return next((mass for (other, _), mass in _ATOMIC_MASS.items() if other == symbol), None)
