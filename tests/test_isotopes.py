"""Isotopes in names, and the masses of ions."""

from __future__ import annotations

import pytest

from napari_liso.isotopes import _ABUNDANCE, guess_pair, ion_mass, isotope_of, natural_fraction


@pytest.mark.parametrize(
    ("name", "isotope"),
    [
        ("6Li", ("Li", 6)),
        ("6Li+ (sum)", ("Li", 6)),
        ("^65Cu", ("Cu", 65)),
        ("Li7", ("Li", 7)),
        ("Li-7", ("Li", 7)),
        ("12C", ("C", 12)),
        ("total", None),
        ("C1", None),  # a channel number, not carbon of mass 1
        ("Z3", None),
        ("6LiH", None),
        ("Image 6Li", None),
        ("page 6", None),
        ("500Li", None),
    ],
)
def test_isotopes_are_found_in_names(name: str, isotope: tuple[str, int] | None) -> None:
    assert isotope_of(name) == isotope


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["7Li", "6Li"], (1, 0)),
        (["63Cu", "65Cu"], (1, 0)),
        (["63Cu", "total", "65Cu", "7Li+", "6Li+"], (4, 3)),
        (["16O", "18O", "23Na"], (1, 0)),
        (["6Li", "23Na"], None),
        ([], None),
    ],
)
def test_the_pair_is_guessed_from_names(names: list[str], pair: tuple[int, int] | None) -> None:
    assert guess_pair(names) == pair


def test_ion_masses_lack_the_electron() -> None:
    # AME2020 6.0151228874 u less the electron, 0.000548580 u
    assert ion_mass("6Li") == pytest.approx(6.01457431, abs=2e-6)
    assert ion_mass(" 22.99 ") == 22.99


# Sums of the AME2020 masses of the atoms by hand, less (positive) or plus (negative)
# the electron's 0.00054858 u.
@pytest.mark.parametrize(
    ("name", "mass"),
    [
        ("H", 1.0078250319 - 0.00054858),
        ("Na+", 22.9897692820 - 0.00054858),
        ("6LiH", 6.0151228874 + 1.0078250319 - 0.00054858),
        ("7LiH+", 7.0160034366 + 1.0078250319 - 0.00054858),
        ("C2H5", 2 * 12.0 + 5 * 1.0078250319 - 0.00054858),
        ("O-", 15.9949146196 + 0.00054858),
        ("18O-", 17.9991596129 + 0.00054858),
        ("^65Cu", 64.9277897 - 0.00054858),
        ("7Li16O", 7.0160034366 + 15.9949146196 - 0.00054858),
        ("12C14N-", 12.0 + 14.0030740044 + 0.00054858),
        ("6Li7Li", 6.0151228874 + 7.0160034366 - 0.00054858),
        ("13C2H5", 2 * 13.0033548351 + 5 * 1.0078250319 - 0.00054858),
        ("13CC25H21N2", 13.0033548351 + 25 * 12 + 21 * 1.0078250319 + 28.0061480088 - 0.00054858),
        ("7Li2O", 2 * 7.0160034366 + 15.9949146196 - 0.00054858),
        ("Li3O", 3 * 7.0160034366 + 15.9949146196 - 0.00054858),
        ("C6Li", 72.0 + 7.0160034366 - 0.00054858),
        ("H2", 2 * 1.0078250319 - 0.00054858),  # a molecule in every spectrum
        ("2H", 2.0141017779 - 0.00054858),
    ],
)
def test_masses_of_ions(name: str, mass: float) -> None:
    assert ion_mass(name) == pytest.approx(mass, abs=4e-6)


@pytest.mark.parametrize(
    ("name", "polarity", "electrons"),
    [
        ("O", "negative", 1),
        ("O", "positive", -1),
        ("O", None, -1),
        ("O+", "negative", -1),
        ("O-", "positive", 1),
    ],
)
def test_ions_without_a_sign_have_the_polarity_of_the_measurement(
    name: str, polarity: str | None, electrons: int
) -> None:
    expected = 15.9949146196 + electrons * 0.00054858
    assert ion_mass(name, polarity) == pytest.approx(expected, abs=4e-6)


@pytest.mark.parametrize("name", ["Quartz", "", "Li6H?", "5Li", "Tc", "total", "LiH2O3x"])
def test_names_without_a_mass(name: str) -> None:
    with pytest.raises(ValueError, match="is not known"):
        ion_mass(name)


@pytest.mark.parametrize("name", ["0", "0.0", "00"])
def test_no_ion_has_no_mass(name: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        ion_mass(name)


def test_natural_lithium_is_that_of_the_standards() -> None:
    """IRMM-016 and L-SVEC have 6Li/7Li of 0.082121 and 0.08215."""
    natural = natural_fraction("Li", 6, 7)
    assert natural is not None
    for ratio in (0.082121, 0.08215):
        assert natural.value == pytest.approx(ratio / (1 + ratio), abs=natural.error)
    assert natural.error == pytest.approx(0.0004)
    assert "natural 6Li/7Li" in natural.source


@pytest.mark.parametrize(
    ("element", "tracer", "other", "ratio"),
    # Ratios of the zero points of delta scales: VPDB, air, VSMOW, SMOC, SRM 976, SRM 951, VCDT.
    [("C", 13, 12, 0.01118), ("N", 15, 14, 0.0036765), ("O", 18, 16, 0.0020052),
     ("Cl", 37, 35, 0.319627), ("Cu", 65, 63, 0.4456), ("B", 11, 10, 4.04362),
     ("S", 34, 32, 0.0441626), ("H", 2, 1, 0.00015576)],
)  # fmt: skip
def test_natural_fractions_hold_the_reference_materials(
    element: str, tracer: int, other: int, ratio: float
) -> None:
    natural = natural_fraction(element, tracer, other)
    assert natural is not None
    assert natural.value == pytest.approx(ratio / (1 + ratio), abs=1.2 * natural.error)
    back = natural_fraction(element, other, tracer)
    assert back is not None
    assert back.value == pytest.approx(1 - natural.value)
    assert back.error == pytest.approx(natural.error)


@pytest.mark.parametrize("isotopes", [("Li", 6, 6), ("Li", 6, 8), ("Xx", 6, 7), ("Na", 22, 23)])
def test_what_nature_has_not_got(isotopes: tuple[str, int, int]) -> None:
    assert natural_fraction(*isotopes) is None


def test_natural_abundances_add_up() -> None:
    """But for isotopes that are left out: 36S, 40K, 58Fe, 61Ni and up."""
    left_out = {"S": 0.0001, "K": 0.000117, "Fe": 0.00282, "Ni": 0.057}
    elements = {element for element, _ in _ABUNDANCE}
    for element in elements:
        total = sum(share for (e, _), (share, _) in _ABUNDANCE.items() if e == element)
        assert total + left_out.get(element, 0.0) == pytest.approx(1, abs=2e-6), element
