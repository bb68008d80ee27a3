"""The XML half of an imzML pair: where each spectrum lies, and what the file says.

Written from the public imzML 1.1 and mzML 1.1 schemas. Terms are matched by
accession, never by name: names are misspelt in the wild.

The XML is streamed through expat, so a file of hundreds of megabytes needs only
the memory of the numbers it holds. Expat is used without a tree on top because
it alone tells of entities as they are declared, before one is expanded: files
that declare any are refused. Nothing outside the file is ever opened.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from napari_liso.errors import FormatError
from napari_liso.readers._progress import report
from napari_liso.readers.imzml.spectra import MAX_ENTRIES, SpectrumTable, start_handler, whole
from napari_liso.readers.imzml.terms import KNOWN, NEGATIVE, OF_FILE, POSITIVE, Header, Term

__all__ = ["XML_SHARE", "parse_header", "scan_header"]

#: Of the time that a reading takes, about.
XML_SHARE = 0.8

_CHUNK = 2**18
#: One tag or comment; older versions of expat take quadratic time over longer ones.
_MAX_TOKEN = 2**21


def parse_header(path: Path) -> Header:
    """Read the XML of an imzML file.

    Parameters
    ----------
    path
        The ``.imzML`` file.

    Raises
    ------
    FormatError
        If it is no well-formed XML, declares entities, or does not say where
        and how each spectrum is stored.
    """
    header, error = scan_header(path)
    if error is not None:
        raise error
    return header


def scan_header(path: Path) -> tuple[Header, FormatError | None]:
    """Return what could be read of the XML, and what stopped the reading, if anything did."""
    parser = _Parser(path)
    try:
        parser.run()
    except _WrongEncoding:
        # Some exporters write ISO-8859-1 names into a file that says UTF-8.
        parser = _Parser(path, "iso-8859-1")
        try:
            parser.run()
        except FormatError as error:
            return parser.partial(), error
    except FormatError as error:
        return parser.partial(), error
    return parser.header, None


class _WrongEncoding(Exception):
    """The text is not in the encoding that it declares, or that is unknown."""


class _LocalNames(dict[str, str]):
    """Names of elements without a namespace prefix."""

    def __missing__(self, tag: str) -> str:
        name = tag.rpartition(":")[2]
        if len(self) < MAX_ENTRIES:
            self[tag] = name
        return name


class _Parser:
    """One pass over the XML. Only the starts of elements matter: each resets what is open."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self.header = Header(forced_encoding=encoding)
        self._expat = expat.ParserCreate(encoding)
        self._expat.StartElementHandler = self._start
        self._expat.EntityDeclHandler = self._entity
        self._names = _LocalNames()
        self._context = ""
        self._groups: dict[str, dict[str, Term]] = {}
        self._group: dict[str, Term] = {}
        self._file_refs: list[str] = []
        self._table = SpectrumTable(self._groups, self._fail)
        self._start_spectrum, self._finish_spectrum = start_handler(self._table, self._names)

    def run(self) -> None:
        """Parse the whole file."""
        parsed, size = 0, self.path.stat().st_size
        with open(self.path, "rb") as file:
            while True:
                chunk = file.read(_CHUNK)
                try:
                    self._expat.Parse(chunk, not chunk)
                except expat.ExpatError as error:
                    self._not_well_formed(error)
                except FormatError:
                    raise
                except (LookupError, ValueError) as error:  # from looking for a codec
                    self._wrong_encoding(str(error))
                parsed += len(chunk)
                report(XML_SHARE * parsed / max(size, 1))
                if parsed - max(self._expat.CurrentByteIndex, 0) > _MAX_TOKEN:
                    self._fail("has an XML tag or comment of more than 2 MB: it is damaged")
                if not chunk:
                    break
        self._finish_spectrum()
        self._finish()

    def partial(self) -> Header:
        """Return the header as far as it was read."""
        with suppress(FormatError):  # the reason that stopped the reading is the one to tell
            self._finish()
        return self.header

    def _fail(self, reason: str) -> NoReturn:
        raise FormatError(self.path, reason, max(self._expat.CurrentByteIndex, 0))

    def _not_well_formed(self, error: expat.ExpatError) -> None:
        offset = self._expat.ErrorByteIndex
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]:
            with open(self.path, "rb") as file:
                file.seek(offset)
                byte = file.read(1)
            if byte >= b"\x80":
                self._wrong_encoding("it has bytes that do not belong to it")
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]:
            self._wrong_encoding(str(error))
        raise FormatError(
            self.path, f"is damaged or truncated: its XML is not well formed ({error})", offset
        ) from None

    def _wrong_encoding(self, reason: str) -> NoReturn:
        if self.header.forced_encoding is None:
            raise _WrongEncoding
        self._fail(f"is not in the encoding that it declares: {reason}")

    def _entity(self, name: str, *_: object) -> None:
        self._fail(f"declares the XML entity {name[:40]!r}; imzML has none, so it is refused")

    # --- before the spectra ---------------------------------------------------

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name == "cvParam":
            self._header_term(attributes)
        elif name == "referenceableParamGroupRef":
            self._header_reference(attributes.get("ref", ""))
        elif name == "spectrumList":
            self.header.declared_spectra = whole(attributes.get("count"))
            self._expat.StartElementHandler = self._start_spectrum
        else:
            self._enter(name, attributes)

    def _enter(self, name: str, attributes: dict[str, str]) -> None:
        header = self.header
        # Elements inside a group of settings or software leave its context.
        self._context = name
        if attributes.get("accession") and name != "mzML":
            self._fail(f"has an element {name[:40]!r} where a cvParam belongs: it is damaged")
        if name == "referenceableParamGroup":
            identity = attributes.get("id", "")
            if identity in self._groups or len(self._groups) >= MAX_ENTRIES:
                self._fail(f"defines the parameter group {identity[:40]!r} twice, or too many")
            self._group = self._groups[identity] = {}
        elif name == "scanSettings":
            if len(header.settings) >= MAX_ENTRIES:
                self._fail(f"has more than {MAX_ENTRIES} scanSettings")
            header.settings.append([])
        elif name == "software" and len(header.software) < 20:
            program = (attributes.get("id", ""), attributes.get("version", ""))
            header.software.append(" ".join(part for part in program if part)[:100])
        elif name == "run":
            header.acquired = attributes.get("startTimeStamp")

    def _header_term(self, attributes: dict[str, str]) -> None:
        accession = attributes.get("accession")
        if accession is None:
            self._fail("has a cvParam without an accession: it is damaged")
        term = Term(attributes.get("value", ""), attributes.get("unitAccession"))
        if self._context == "processingMethod" and len(self.header.processing) < 20:
            self.header.processing.append(attributes.get("name", accession)[:100])
        if accession not in KNOWN:
            return
        if self._context == "referenceableParamGroup":
            self._note(self._group, accession, term)
        elif self._context == "scanSettings":
            settings = self.header.settings[-1]
            if len(settings) >= MAX_ENTRIES:
                self._fail("has scanSettings of too many terms")
            settings.append((accession, term))
        elif accession in OF_FILE or accession in (POSITIVE, NEGATIVE):
            self._note(self.header.file_terms, accession, term)

    def _note(self, terms: dict[str, Term], accession: str, term: Term) -> None:
        if terms.setdefault(accession, term) != term:
            self._fail(f"states {accession} twice: {terms[accession].value!r} and {term.value!r}")

    def _header_reference(self, identity: str) -> None:
        if self._context == "scanSettings":
            found = self._groups.get(identity)
            if found is None:
                self._miss(identity)
            else:
                self.header.settings[-1] += found.items()
        elif len(self._file_refs) < MAX_ENTRIES:
            self._file_refs.append(identity)  # groups come after the description of the file

    def _miss(self, identity: str) -> None:
        if len(self.header.missing_groups) < 20:
            self.header.missing_groups.add(identity[:40])

    # --- the end --------------------------------------------------------------

    def _finish(self) -> None:
        header = self.header
        header.polarities |= self._table.polarities
        header.missing_groups |= self._table.missing_groups
        for identity in self._file_refs:
            for accession, term in self._groups.get(identity, {}).items():
                if accession in OF_FILE:
                    header.file_terms.setdefault(accession, term)
        if not header.polarities:
            everywhere = [header.file_terms, *self._groups.values()]
            for accession, word in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
                if any(accession in terms for terms in everywhere):
                    header.polarities.add(word)
        header.spectra = self._table.result()
