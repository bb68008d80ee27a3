"""Filters of tables in words: ``step > 3 sigma and length < 2 um``; read, never executed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Field", "find_rows"]

_MOST = 500  # characters of a filter
_DEEPEST = 30  # parentheses and nots within each other

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+−]?\d+)?)
    |(?P<text>"[^"]*"|'[^']*')
    |(?P<sign><=|>=|!=|==|<>|≤|≥|≠|[=<>()|&])
    |(?P<word>[^\W\d][\w.]*(?:/[\w.]+)*|[°µσ∞][\w.]*(?:/[\w.]+)*|[1]/[\w.]+)
    |(?P<other>\S)
    )""",
    re.VERBOSE,
)
_INVERSE = re.compile(r"\s*(1/[^\W\d]\w*)")  # a unit such as 1/um
_SAME = {"==": "=", "<>": "!=", "≠": "!=", "≤": "<=", "≥": ">="}
_SIGNS = ("<", "<=", ">", ">=", "=", "!=")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SIGMA = ("sigma", "σ", "sd", "se")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Field:
    """A column that a filter can ask about.

    Parameters
    ----------
    values
        (row,) numbers, or words as objects. NaN: no value, which no comparison matches.
    units
        Unit as it is written, and its size in the unit of `values`. The first one holds
        where none is written. Empty: a pure number.
    error
        (row,) standard errors, for ``> 3 sigma``.
    upper
        (row,) where known only to lie between two ends: the upper one; `values` are the
        lower ones then. A comparison matches what it holds for wherever it lies.
    choices
        All words that there are; empty: any.
    also
        (row,) more columns of which one must match, such as the second grain of a pair.
    """

    values: NDArray[Any]
    units: Mapping[str, float] = field(default_factory=dict)
    error: NDArray[np.float64] | None = None
    upper: NDArray[np.float64] | None = None
    choices: Sequence[str] = ()
    also: Sequence[NDArray[Any]] = ()

    @property
    def is_words(self) -> bool:
        """Whether it holds words."""
        return self.values.dtype.kind not in "iufb"


def find_rows(text: str, fields: Mapping[str, Field]) -> Mask:
    """Return which rows of a table a filter matches.

    A filter compares a column with a value: ``length < 2 um``, ``step > 3 sigma`` (the
    size of the step in units of its own error), ``|step| > 0.05`` (whatever its sign),
    ``state = exclude``, ``notes has "pore"``. ``and``, ``or``, ``not`` and parentheses
    combine comparisons; ``and`` binds more tightly than ``or``. Words are compared
    without regard to capitals.

    Parameters
    ----------
    text
        The filter; nothing, or spaces, match every row.
    fields
        Columns by the name under which the filter knows them, all of the same length.

    Returns
    -------
    ndarray
        (row,) bool.

    Raises
    ------
    ValueError
        If the filter cannot be read; it says at which word and what there is to choose from.
    """
    rows = len(next(iter(fields.values())).values) if fields else 0
    if not text.strip():
        return np.ones(rows, dtype=bool)
    if len(text) > _MOST:
        raise ValueError(f"a filter has {_MOST} characters at most, this one has {len(text)}")
    return _Reader(_tokens(text), fields).read()


@dataclass(frozen=True)
class _Token:
    kind: str  # number, text, sign or word; end
    text: str


_END = _Token("end", "")


def _tokens(text: str) -> list[_Token]:
    """Cut a filter into numbers, words and signs."""
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        inverse = _INVERSE.match(text, at)
        if inverse and found and found[-1].kind == "number":
            found.append(_Token("word", inverse.group(1)))
            at = inverse.end()
            continue
        match = _TOKEN.match(text, at)
        assert match is not None  # one character of any kind, if nothing else
        kind = str(match.lastgroup)
        token = match.group(kind)
        if kind == "other":
            raise ValueError(f"'{token}' has no meaning in a filter")
        if kind == "sign" and token == "&":
            kind, token = "word", "and"
        found.append(_Token(kind, _SAME.get(token, token)))
        at = match.end()
    return found


class _Reader:
    """Reads ``a < 1 and (b = word or not c > 2)`` from left to right."""

    def __init__(self, tokens: list[_Token], fields: Mapping[str, Field]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._by_name = {name.casefold(): name for name in fields}
        self._at = 0
        self._depth = 0

    def read(self) -> Mask:
        mask = self._any()
        if self._next is not _END:
            raise ValueError(
                f"'{self._next.text}' is not expected there: join comparisons with and, or"
            )
        return mask

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self._next.kind in ("word", "sign") and self._next.text.casefold() in texts

    def _any(self) -> Mask:
        mask = self._all()
        while self._is("or"):
            self._take()
            mask = mask | self._all()
        return mask

    def _all(self) -> Mask:
        mask = self._one()
        while self._is("and"):
            self._take()
            mask = mask & self._one()
        return mask

    def _one(self) -> Mask:
        if not self._is("not", "("):
            return self._comparison()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("there are too many parentheses within each other")
        if self._take().text != "(":
            mask = ~self._one()
        else:
            mask = self._any()
            if not self._is(")"):
                raise ValueError("a closing parenthesis is missing")
            self._take()
        self._depth -= 1
        return mask

    def _comparison(self) -> Mask:
        size = self._is("|")
        if size:
            self._take()
        name = self._name()
        chosen = self._fields[name]
        if size:
            if not self._is("|"):
                raise ValueError(f"a second | is missing after '{name}'")
            self._take()
            if chosen.is_words:
                raise ValueError(f"'{name}' holds words, which have no size | |")
        if self._is("has", "contains"):
            self._take()
            return _has(chosen, name, self._words(name))
        if not self._is(*_SIGNS):
            found = f", not '{self._next.text}'" if self._next is not _END else ""
            also = " or has" if chosen.is_words else ""
            raise ValueError(f"after '{name}' comes one of {' '.join(_SIGNS)}{also}{found}")
        sign = self._take().text
        if chosen.is_words:
            return _equal(chosen, name, sign, self._words(name))
        return self._number(chosen, name, sign, size)

    def _name(self) -> str:
        token = self._take()
        known = self._by_name.get(token.text.casefold())
        if token.kind == "word" and known is not None:
            return known
        listed = ", ".join(self._fields)
        if token is _END:
            raise ValueError(f"the filter ends where a column is expected: {listed}")
        near = get_close_matches(token.text.casefold(), self._by_name, 1)
        hint = f" (perhaps {self._by_name[near[0]]})" if near else ""
        raise ValueError(f"there is no column '{token.text}'{hint}; there are {listed}")

    def _words(self, name: str) -> str:
        """Take a quoted text, or all words up to the next and, or, parenthesis."""
        if self._next.kind == "text":
            return self._take().text[1:-1]
        words = []
        while self._next.kind in ("word", "number") and not self._is("and", "or"):
            words.append(self._take().text)
        if not words:
            choices = self._fields[name].choices
            listed = f": {', '.join(choices)}" if choices else ""
            raise ValueError(f"'{name}' is compared with a word{listed}")
        return " ".join(words)

    def _number(self, chosen: Field, name: str, sign: str, size: bool) -> Mask:
        token = self._take()
        if token.kind != "number":
            found = f", not with '{token.text}'" if token is not _END else ""
            raise ValueError(f"'{name}' is compared with a number{found}")
        number = float(token.text.replace("−", "-"))
        unit = ""
        if self._next.kind == "word" and (
            self._is(*_SIGMA) or not self._is("and", "or", *self._by_name)
        ):
            unit = self._take().text
        low = np.asarray(chosen.values, dtype=np.float64)
        high = low if chosen.upper is None else chosen.upper
        bound: Any = number
        if unit.casefold() in _SIGMA:
            if chosen.error is None:
                raise ValueError(f"'{name}' has no error, so it is not compared in {unit}")
            size, bound = True, number * chosen.error
        elif unit:
            bound = number * _factor(chosen, name, unit)
        elif chosen.units:
            bound = number * next(iter(chosen.units.values()))
        if size:
            across = (low < 0) & (high > 0)  # zero lies between the ends
            ends = np.abs(low), np.abs(high)
            low, high = np.where(across, 0.0, np.minimum(*ends)), np.maximum(*ends)
        mask = _compare(low, high, sign, bound)
        for other in chosen.also:
            more = _compare(other, other, sign, bound)
            mask = mask & more if sign == "!=" else mask | more
        return mask


def _compare(low: NDArray[Any], high: NDArray[Any], sign: str, bound: Any) -> Mask:
    """Compare what lies between two ends; NaN matches nothing."""
    known = np.isfinite(low) | np.isfinite(high)
    if sign in ("=", "!="):
        # numbers are shown rounded, and a unit's factor rounds
        near = np.isclose(low, bound, rtol=1e-9, atol=0.0) & (low == high)
        return np.asarray(known & (near if sign == "=" else ~near))
    end = high if sign in ("<", "<=") else low
    with np.errstate(invalid="ignore"):
        return np.asarray(known & _COMPARE[sign](end, bound))


def _factor(chosen: Field, name: str, unit: str) -> float:
    """Return the size of a unit."""
    written = unit.replace("μ", "u").replace("µ", "u")
    if written in chosen.units:
        return chosen.units[written]
    if not chosen.units:
        raise ValueError(f"'{name}' has no unit, but '{unit}' is written after it")
    raise ValueError(f"'{unit}' is no unit of '{name}'; write one of {', '.join(chosen.units)}")


def _equal(chosen: Field, name: str, sign: str, word: str) -> Mask:
    """Compare words."""
    if sign not in ("=", "!="):
        raise ValueError(f"'{name}' holds words: compare it with = or !=")
    known = {choice.casefold(): choice for choice in chosen.choices}
    wanted = word.casefold()
    if known and wanted not in known:
        raise ValueError(f"'{name}' is never '{word}'; it is one of {', '.join(chosen.choices)}")
    same = np.array([str(value).casefold() == wanted for value in chosen.values], dtype=bool)
    there = np.array([value is not None for value in chosen.values], dtype=bool)
    return same if sign == "=" else ~same & there


def _has(chosen: Field, name: str, word: str) -> Mask:
    """Look for a part of the words."""
    if not chosen.is_words:
        raise ValueError(f"'{name}' holds numbers: has is for words")
    wanted = word.casefold()
    return np.array([wanted in str(value or "").casefold() for value in chosen.values], dtype=bool)
