"""imzML: damaged and hostile files of either half are refused or read right."""

from __future__ import annotations

import zlib
from pathlib import Path

import hostile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imzml_writer import boundaries, edit, scan_settings, write_imzml

import napari_liso as liso
from napari_liso.acquisition import Acquisition
from napari_liso.readers.imzml import reader as imzml

WINDOWS = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}
SPECTRA = {
    (x, y): ([6.015, 6.5, 7.016][: 1 + (x + y) % 3], [x, 10 * y, 100][: 1 + (x + y) % 3])
    for y in (1, 2)
    for x in (1, 2, 3)
}


def read(path: Path) -> Acquisition:
    return imzml.read(path, WINDOWS)


def refused(path: Path, *words: str) -> liso.FormatError:
    found = hostile.outcome(read, path)
    assert isinstance(found, liso.FormatError)
    for word in words:
        assert word in found.reason
    return found


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Without check sum, so that only the structure can tell."""
    return write_imzml(tmp_path / "a.imzML", SPECTRA, checksum=None)


# --- XML ---------------------------------------------------------------------


def test_entity_bomb(tmp_path: Path) -> None:
    entities = ['<!ENTITY a0 "lol">']
    entities += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    doctype = f"<!DOCTYPE mzML [{''.join(entities)}]>"
    path = write_imzml(tmp_path / "a.imzML", SPECTRA, doctype=doctype)
    edit(path, ("<cvList", "<x>&a9;</x><cvList"))
    refused(path, "entity 'a0'")


@pytest.mark.parametrize("kind", ["", "% "])
def test_external_entities_are_not_followed(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("6.0")
    doctype = f'<!DOCTYPE mzML [<!ENTITY {kind}e SYSTEM "{secret.as_uri()}">]>'
    path = write_imzml(tmp_path / "a.imzML", SPECTRA, doctype=doctype)
    refused(path, "entity 'e'")


def test_an_external_doctype_is_not_fetched(tmp_path: Path) -> None:
    doctype = f'<!DOCTYPE mzML SYSTEM "{(tmp_path / "missing.dtd").as_uri()}">'
    path = write_imzml(tmp_path / "a.imzML", SPECTRA, doctype=doctype)
    assert read(path)["7Li"].sum() > 0


def test_an_endless_tag(plain: Path) -> None:
    """Expat before 2.6 takes quadratic time over one that comes in pieces."""
    edit(plain, ("<cvList", f'<x y="{"z" * 30_000_000}"/><cvList'))
    refused(plain, "more than 2 MB")


def test_deep_nesting(plain: Path) -> None:
    edit(plain, ("<cvList", "<x>" * 300_000 + "</x>" * 300_000 + "<cvList"))
    assert isinstance(hostile.outcome(read, plain), Acquisition)


def test_many_groups(plain: Path) -> None:
    many = "".join(f'<referenceableParamGroup id="g{n}"/>' for n in range(20_000))
    edit(plain, ("</referenceableParamGroupList>", many + "</referenceableParamGroupList>"))
    refused(plain, "twice, or too many")


def test_many_arrays_in_one_spectrum(plain: Path) -> None:
    edit(plain, ("</binaryDataArrayList>", "<binaryDataArray/>" * 5000 + "</binaryDataArrayList>"))
    refused(plain, "more arrays")


@pytest.mark.parametrize("share", np.linspace(0.02, 0.999, 25))
def test_xml_cut_anywhere(tmp_path: Path, share: float) -> None:
    path = write_imzml(tmp_path / "a.imzML", SPECTRA)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "not well formed")


# --- what the XML declares ----------------------------------------------------


@pytest.mark.parametrize("size", [20_000, 2**31, 10**18])
def test_immense_images(tmp_path: Path, size: int) -> None:
    path = write_imzml(tmp_path / "a.imzML", SPECTRA, settings=[scan_settings(size, size)])
    refused(path)


def test_the_largest_image_fits_into_memory(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", SPECTRA, settings=[scan_settings(8192, 8192)])
    found = hostile.outcome(imzml.read, path)
    assert isinstance(found, Acquisition)
    assert found.metadata["pixels_without_spectrum"] == {"count": 2**26 - 6, "runs": None}


def test_many_frames_of_large_images(tmp_path: Path) -> None:
    """Frames cost what their spectra cost, not what their pixels would."""
    spectra = {(1, 1, 7 * z): ([6.0], [1]) for z in range(1, 500)}
    path = write_imzml(tmp_path / "a.imzML", spectra, settings=[scan_settings(5000, 5000)])
    found = hostile.outcome(read, path)
    assert isinstance(found, Acquisition)
    assert found["6Li"][0, 0] == 499


def test_a_far_position(plain: Path) -> None:
    edit(plain, ('name="position y" value="2"', 'name="position y" value="4000000000"'))
    refused(plain, "4000000000")


@pytest.mark.parametrize(
    "value", ["-1", "0.5", "NA", "", "9" * 30, "9" * 6000, "1_6", "0x10", "\xb26"]
)
@pytest.mark.parametrize(
    "term", ["external offset", "external array length", "external encoded length", "position x"]
)
def test_numbers_that_are_none(plain: Path, term: str, value: str) -> None:
    text = plain.read_bytes().decode("latin-1")
    before, _, after = text.partition(f'name="{term}" value="')
    plain.write_bytes(
        (before + f'name="{term}" value="{value}' + after[after.index('"') :]).encode("latin-1")
    )
    refused(plain)


@pytest.mark.parametrize(
    "term", ["IMS:1000102", "IMS:1000103", "IMS:1000050", "MS:1000514", "MS:1000515", "MS:1000521"]
)
def test_missing_terms(plain: Path, term: str) -> None:
    edit(plain, (term, "IMS:9999999"))
    refused(plain)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<cvParam cvRef="IMS" accession="IMS:1000047"', '<cvPasam accession="IMS:1000047"'),
        ('<cvParam cvRef="IMS" accession="IMS:1000051"', '<cvPasam accession="IMS:1000051"'),
        ('accession="IMS:1000047"', 'acceesion="IMS:1000047"'),
        ('accession="MS:1000285"', 'acceesion="MS:1000285"'),
    ],
)
def test_terms_that_are_no_terms_any_more(plain: Path, old: str, new: str) -> None:
    """One flipped bit would otherwise take the pixel size or more away without a word."""
    edit(plain, (old, new))
    refused(plain, "cvParam", "damaged")


def test_lengths_that_are_not_there(plain: Path) -> None:
    first = 'name="external array length" value="3"'
    edit(plain, (first, 'name="external array length" value="4000000000"'))
    refused(plain, "4000000000 values")


def test_offsets_beyond_the_file_and_over_the_identifier(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", {(1, 1): ([6.0], [1])}, checksum=None)
    edit(path, ('name="external offset" value="24"', 'name="external offset" value="25"'))
    refused(path, "truncated")
    edit(path, ('name="external offset" value="25"', 'name="external offset" value="8"'))
    refused(path, "identifier")


def test_arrays_that_overlap(plain: Path) -> None:
    places = boundaries(SPECTRA)
    edit(plain, (f'offset" value="{places[2]}"', f'offset" value="{places[2] - 4}"'))
    refused(plain, "overlap")


def test_a_number_type_that_does_not_fit_its_bytes(plain: Path) -> None:
    edit(plain, ("MS:1000521", "MS:1000523"))
    refused(plain, "as many bytes as its values need")


@pytest.mark.parametrize("accession", ["MS:1002312", "IMS:1005003"])
def test_compressions_that_cannot_be_read(plain: Path, accession: str) -> None:
    edit(plain, ("MS:1000576", accession))
    refused(plain, "export it uncompressed or with zlib")


def test_two_terms_for_one_number_type(plain: Path) -> None:
    type_term = '<cvParam cvRef="MS" accession="MS:1000521"'
    edit(plain, (type_term, '<cvParam accession="MS:1000519" name="" value=""/>' + type_term))
    refused(plain, "one number type")


def test_a_spectrum_less(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", SPECTRA)
    text = path.read_bytes().decode("latin-1")
    start, end = text.index("<spectrum "), text.index("</spectrum>") + len("</spectrum>")
    path.write_bytes((text[:start] + text[end:]).encode("latin-1"))
    assert any("incomplete" in text for text in read(path).metadata["warnings"])
    whole = text[: text.index("<spectrum ")] + text[text.rindex("</spectrum>") + 11 :]
    path.write_bytes(whole.encode("latin-1"))
    refused(path, "no spectrum")


# --- the .ibd ----------------------------------------------------------------


@pytest.mark.parametrize("edge", boundaries(SPECTRA)[:-1])
@pytest.mark.parametrize("change", [-1, 0, 1])
def test_ibd_cut_at_every_array(plain: Path, edge: int, change: int) -> None:
    ibd = plain.with_suffix(".ibd")
    ibd.write_bytes(ibd.read_bytes()[: max(edge + change, 0)])
    found = refused(plain, "truncated")
    assert found.path == str(ibd)


@pytest.mark.parametrize("value", [np.nan, np.inf, -6.0, 1e300])
def test_masses_that_are_none(tmp_path: Path, value: float) -> None:
    path = write_imzml(tmp_path / "a.imzML", {(1, 1): ([6.0, value], [1, 2])}, checksum=None)
    refused(path, "m/z values")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 2.0**53])
def test_intensities_that_are_none(tmp_path: Path, value: float) -> None:
    spectra = {(1, 1): ([6.0, 7.0], [1, value])}
    path = write_imzml(tmp_path / "a.imzML", spectra, intensity_type="float64", checksum=None)
    refused(path, "intensities")


def test_sums_beyond_exact_whole_numbers(tmp_path: Path) -> None:
    spectra = {(1, 1): ([6.0, 7.0], [2**53 - 1, 5])}
    path = write_imzml(tmp_path / "a.imzML", spectra, intensity_type="int64", checksum=None)
    refused(path, "too large to add up")


def bomb(path: Path, values: int, spectra: int, shared: bool) -> Path:
    """Zlib arrays of one repeated value, whose declared lengths are true."""
    one = {(x, 1): ([6.0], [1]) for x in range(1, spectra + 1)}
    write_imzml(path, one, compress=True, checksum=None, continuous=shared)
    packed = zlib.compress(b"\x01" * (4 * values), 9)
    mass = zlib.compress(np.full(values, 6.0).tobytes(), 9)
    content = bytearray(path.with_suffix(".ibd").read_bytes()[:16])
    text = path.read_text("latin-1")
    pieces = text.split("<binaryDataArray ")
    shared_place = None
    for number, piece in enumerate(pieces[1:]):
        data = mass if number % 2 == 0 else packed
        place = shared_place if shared and number % 2 == 0 else None
        if place is None:
            place = len(content)
            content += data
            if number % 2 == 0:
                shared_place = place
        for name, value in (
            ("offset", place), ("array length", values), ("encoded length", len(data))
        ):  # fmt: skip
            head, _, tail = piece.partition(f'name="external {name}" value="')
            piece = f'{head}name="external {name}" value="{value}{tail[tail.index(chr(34)) :]}'
        pieces[number + 1] = piece
    path.write_text("<binaryDataArray ".join(pieces), "latin-1")
    path.with_suffix(".ibd").write_bytes(content)
    return path


@pytest.mark.parametrize("shared", [False, True])
def test_zlib_bombs(tmp_path: Path, shared: bool) -> None:
    refused(bomb(tmp_path / "a.imzML", 2**21, 400, shared))


@pytest.mark.parametrize("shared", [False, True])
def test_the_longest_spectrum_fits_into_memory(tmp_path: Path, shared: bool) -> None:
    path = bomb(tmp_path / "a.imzML", 2**22, 2, shared)
    assert isinstance(hostile.outcome(read, path), Acquisition)


def test_a_longer_spectrum(tmp_path: Path) -> None:
    refused(bomb(tmp_path / "a.imzML", 2**22 + 1, 1, False), "can be read")


@pytest.mark.parametrize("change", ["longer", "shorter", "garbage", "cut"])
def test_zlib_arrays_that_are_not_what_is_declared(tmp_path: Path, change: str) -> None:
    path = write_imzml(tmp_path / "a.imzML", {(1, 1): ([6.0], [1])}, compress=True, checksum=None)
    ibd = path.with_suffix(".ibd")
    content = ibd.read_bytes()
    if change in ("longer", "shorter"):
        values = "2" if change == "longer" else "0"
        edit(path, ('array length" value="1"', f'array length" value="{values}"'))
        if change == "shorter":
            acq = read(path)  # an empty spectrum, but the total ion current tells
            assert any("add up" in text for text in acq.metadata["warnings"])
            return
    elif change == "garbage":
        ibd.write_bytes(content[:20] + b"\xff" * (len(content) - 20))
    else:
        text = path.read_text("latin-1")
        first = text.index('encoded length" value="') + len('encoded length" value="')
        size = int(text[first : text.index('"', first)])
        path.write_text(f"{text[:first]}{size - 1}{text[text.index(chr(34), first) :]}", "latin-1")
    refused(path, "inflate")


# --- fuzz --------------------------------------------------------------------


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    return [
        write_imzml(folder / "a.imzML", SPECTRA, checksum=None),
        write_imzml(folder / "b.imzML", SPECTRA, compress=True, checksum=None, inline=True),
        write_imzml(
            folder / "c.imzML",
            {at: ([6.0, 6.5, 7.0], [1, 2, 3]) for at in SPECTRA},
            continuous=True,
            checksum=None,
        ),
        write_imzml(folder / "d.imzML", SPECTRA),
    ]


@hostile.fuzz
@given(data=st.data())
def test_fuzz_xml(originals: list[Path], tmp_path: Path, data: st.DataObject) -> None:
    """Refused, or the same counts, or other counts with a word about it."""
    original = data.draw(st.sampled_from(originals))
    content = original.read_bytes()
    path = tmp_path / "a.imzML"
    path.with_suffix(".ibd").write_bytes(original.with_suffix(".ibd").read_bytes())
    # Half of the damage among the spectra, where positions and places are.
    start = content.index(b"<spectrumList")
    if data.draw(st.booleans()):
        path.write_bytes(content[:start] + data.draw(hostile.damage(content[start:])))
    else:
        path.write_bytes(data.draw(hostile.damage(content)))
    found = hostile.outcome(read, path)
    if isinstance(found, Acquisition) and not found.metadata["warnings"]:
        np.testing.assert_array_equal(found.counts, read(original).counts)
    assert all(isinstance(line, str) for line in imzml.outline(path))


@hostile.fuzz
@given(data=st.data())
def test_fuzz_ibd(originals: list[Path], tmp_path: Path, data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(originals))
    content = original.with_suffix(".ibd").read_bytes()
    path = tmp_path / "a.imzML"
    path.write_bytes(original.read_bytes())
    damaged = data.draw(hostile.damage(content))
    path.with_suffix(".ibd").write_bytes(damaged)
    found = hostile.outcome(read, path)
    if original.name == "d.imzML" and damaged != content:
        assert isinstance(found, liso.FormatError)  # its check sum tells
    if len(damaged) < len(content) and content.startswith(damaged):
        hostile.assert_cut_is_noticed(read, path, read(original), len(damaged))
