"""Tables in files: CSV that says where it is from, written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["replace_file", "table_text", "with_units", "write_table"]

_SUFFIX = re.compile(r"[A-Za-z0-9_]+")


def write_table(
    path: str | Path,
    table: pd.DataFrame,
    provenance: Mapping[str, Any] | None = None,
    units: Mapping[str, str] | None = None,
) -> Path:
    """Write a table as CSV under a header that says what it is and how it was made.

    The file begins with one line ``# {"key": value}`` for each entry of
    `provenance`, each JSON after the ``# ``. Columns with a unit carry it in their
    name, ``area_m2``, so that ``pandas.read_csv(path, comment="#")`` reads numbers
    as numbers. Words are quoted: a ``#`` in one of them is no comment. UTF-8, a
    full precision of numbers; NaN is an empty cell, an infinity ``inf``.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced.
    table
        Its index is written too, as the first column, if it has a name.
    provenance
        JSON-able facts: software, sources, corrections. Arrays and numbers of
        numpy are written as lists and numbers.
    units
        Unit of a column, in letters, digits and underscores: ``"m2"``,
        ``"m_per_s"``. Columns without are pure numbers, counts or words.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ValueError
        If a unit is of a column that is not there or cannot be part of a name,
        two columns would have the same name, or `provenance` is not JSON-able.
    OSError
        If the file cannot be written; one that was there is then as before.
    """
    text = table_text(table, provenance, units)
    return replace_file(path, lambda made: made.write_text(text, encoding="utf-8", newline="\n"))


def table_text(
    table: pd.DataFrame,
    provenance: Mapping[str, Any] | None = None,
    units: Mapping[str, str] | None = None,
) -> str:
    """Return the text that `write_table` writes; the same parameters and errors."""
    try:
        header = [
            json.dumps({str(key): value}, default=_plain, ensure_ascii=False, allow_nan=False)
            for key, value in (provenance or {}).items()
        ]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the provenance of a table must be JSON-able: {error}") from None
    body = with_units(table, units).to_csv(
        index=table.index.name is not None,
        quoting=csv.QUOTE_NONNUMERIC,
        lineterminator="\n",
    )
    return "".join(f"# {line}\n" for line in header) + body


def with_units(table: pd.DataFrame, units: Mapping[str, str] | None) -> pd.DataFrame:
    """Return a table whose columns carry their units in their names.

    Raises
    ------
    ValueError
        As `write_table`.
    """
    names: dict[Any, str] = {}
    for column, unit in (units or {}).items():
        if column not in table.columns:
            raise ValueError(f"a unit is given for '{column}', which is no column of the table")
        if not _SUFFIX.fullmatch(unit):
            raise ValueError(
                f"the unit '{unit}' of '{column}' cannot be part of a column's name: write it in "
                "letters, digits and underscores, such as m2 or m_per_s"
            )
        names[column] = f"{column}_{unit}"
    renamed = table.rename(columns=names)
    every = [*([] if table.index.name is None else [table.index.name]), *renamed.columns]
    twice = sorted({str(name) for name in every if every.count(name) > 1})
    if twice:
        raise ValueError(f"two columns of the table would be called {', '.join(twice)}")
    return renamed


def replace_file(path: str | Path, make: Callable[[Path], object]) -> Path:
    """Make a file beside `path`, then put it in its place, whole or not at all.

    Parameters
    ----------
    path
        Of the file.
    make
        Writes it, to the path that it is given.

    Raises
    ------
    OSError
        If that fails; a file that was there is then as before.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        made = Path(folder) / path.name
        make(made)
        os.replace(made, path)
    return path


def _plain(value: object) -> Any:
    """Return numbers and arrays of numpy, and paths, as JSON knows them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not")
