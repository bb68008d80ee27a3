"""Plain values, tables and arrays as JSON with arrays beside it, and back; nothing is executed.

What JSON has no word for is an object with one key that begins with ``$``: ``$array`` (its
number in the file), ``$small`` (a few values in hexadecimal), ``$tuple``, ``$float`` for
NaN and infinities, ``$object`` (its number in the list of objects), and so on. Objects
and arrays that are shared are written once and shared again when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Packer", "Unpacker"]

#: Arrays up to so many bytes are written into the description.
_SMALL = 64
_NUMBERS = "biufc"
#: Rows of a table: a range takes no room in a file, but what is made of it may.
_LONGEST = 2**26

Fields = dict[str, Any]
#: From an object to the name of its type and its fields; None for a type that is not known.
Describe = Callable[[Any], "tuple[str, Fields] | None"]
#: From the name of a type and its fields to an object; ValueError where they do not fit.
Make = Callable[[str, Fields], Any]


class Packer:
    """Collects the arrays and objects of a session.

    Parameters
    ----------
    describe
        Takes objects apart.

    Attributes
    ----------
    arrays
        Of numbers, in the order of their numbers.
    objects
        Packed objects; each refers to earlier ones only.
    """

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self.arrays: list[NDArray[Any]] = []
        self.objects: list[dict[str, Any]] = []
        self._array_of: dict[int, int] = {}
        self._object_of: dict[int, int] = {}
        self._held: list[Any] = []  # an id is a name only while the object lives

    def pack(self, value: Any, where: str) -> Any:
        """Return a value as JSON.

        Parameters
        ----------
        value
            Of anything.
        where
            What it is, for messages.

        Raises
        ------
        ValueError
            If it holds something that a file cannot.
        """
        if value is None or type(value) in (bool, str, int):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": str(value)}
        if type(value) is list:
            return [self.pack(one, f"{where}[{i}]") for i, one in enumerate(value)]
        if type(value) is tuple:
            return {"$tuple": [self.pack(one, f"{where}[{i}]") for i, one in enumerate(value)]}
        if type(value) in (set, frozenset):
            kind = "$set" if type(value) is set else "$frozenset"
            return {kind: [self.pack(one, where) for one in sorted(value, key=repr)]}
        if type(value) is dict:
            return self._pack_dict(value, where)
        if value is pd.NA:
            return {"$na": True}
        if isinstance(value, np.generic) and value.dtype.kind in _NUMBERS:
            return {"$scalar": [value.dtype.str, value.tobytes().hex()]}
        if isinstance(value, np.ndarray):
            return self._pack_array(value, where)
        return self._pack_object(value, where)

    def _pack_dict(self, value: dict[Any, Any], where: str) -> Any:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: self.pack(one, f"{where}['{key}']") for key, one in value.items()}
        pairs = [
            [self.pack(key, where), self.pack(one, f"{where}[{key!r}]")]
            for key, one in value.items()
        ]
        return {"$dict": pairs}

    def _pack_array(self, array: NDArray[Any], where: str) -> Any:
        if type(array) is not np.ndarray:
            raise ValueError(f"{where} is a {type(array).__name__}: make it a plain array")
        if array.dtype.kind in "OU":
            flat = [self.pack(one, where) for one in array.ravel().tolist()]
            return {"$objects": [array.dtype.str, list(array.shape), flat]}
        if array.dtype.kind not in _NUMBERS or array.dtype.itemsize > 16:
            raise ValueError(f"{where} is an array of {array.dtype}, which a session cannot hold")
        if array.nbytes <= _SMALL:
            return {"$small": [array.dtype.str, list(array.shape), array.tobytes().hex()]}
        number = self._array_of.get(id(array))
        if number is None:
            number = self._array_of[id(array)] = len(self.arrays)
            self.arrays.append(array)
        return {"$array": number}

    def _pack_object(self, value: Any, where: str) -> Any:
        number = self._object_of.get(id(value))
        if number is None:
            if isinstance(value, pd.DataFrame):
                packed = {"type": "DataFrame", **self._pack_table(value, where)}
            else:
                described = self._describe(value)
                if described is None:
                    raise ValueError(
                        f"{where} is a {type(value).__name__}, which a session cannot hold"
                    )
                name, fields = described
                inner = {key: self.pack(one, f"{where}.{key}") for key, one in fields.items()}
                packed = {"type": name, "fields": inner}
            number = self._object_of[id(value)] = len(self.objects)
            self._held.append(value)
            self.objects.append(packed)
        return {"$object": number}

    # --- tables -------------------------------------------------------------------------------

    def _pack_table(self, table: pd.DataFrame, where: str) -> dict[str, Any]:
        names = list(table.columns)
        if any(type(name) is not str for name in names) or len(set(names)) < len(names):
            raise ValueError(f"{where} is a table whose columns have no names of their own")
        if table.index.nlevels != 1:
            raise ValueError(f"{where} is a table with several indices")
        index: dict[str, Any] = {"name": self.pack(table.index.name, f"{where}.index.name")}
        if isinstance(table.index, pd.RangeIndex):
            index["range"] = [table.index.start, table.index.stop, table.index.step]
        else:
            index["values"] = self._pack_column(table.index.to_series(), f"{where}.index")
        columns = [[n, self._pack_column(table[n], f"{where}['{n}']")] for n in names]
        return {"index": index, "columns": columns}

    def _pack_column(self, column: pd.Series[Any], where: str) -> Any:
        dtype = column.dtype
        if isinstance(dtype, np.dtype) and dtype.kind in _NUMBERS:
            return self.pack(column.to_numpy(), where)
        if isinstance(dtype, pd.StringDtype):
            kind = "string" if dtype.na_value is pd.NA else "str"
            return {kind: [None if pd.isna(one) else str(one) for one in column]}
        if dtype.kind == "O":
            return {"object": [self.pack(one, where) for one in column]}
        raise ValueError(f"{where} is a column of {dtype}, which a session cannot hold")


class Unpacker:
    """Makes values of what a `Packer` wrote.

    Parameters
    ----------
    arrays
        Of the file.
    objects
        Packed objects of the file.
    make
        Puts objects together.

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError
        If it makes no sense; the same for `unpack`.
    """

    def __init__(self, arrays: list[NDArray[Any]], objects: list[Any], make: Make) -> None:
        self._arrays = arrays
        self._objects: list[Any] = []
        self._make = make
        for packed in objects:  # each refers to those before it, so there are no circles
            self._objects.append(self._unpack_object(packed))

    def unpack(self, value: Any) -> Any:
        """Return the value behind some JSON."""
        if isinstance(value, list):
            return [self.unpack(one) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, content),) = value.items()
            if key.startswith("$"):
                return self._unpack_marked(key, content)
        return {key: self.unpack(one) for key, one in value.items()}

    def _unpack_marked(self, key: str, content: Any) -> Any:
        if key == "$float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
        if key == "$array":
            return self._at(self._arrays, content)
        if key == "$object":
            return self._at(self._objects, content)
        if key in _COLLECTIONS:
            return _COLLECTIONS[key](self.unpack(one) for one in content)
        if key == "$dict":
            return {self.unpack(one): self.unpack(other) for one, other in content}
        if key == "$scalar":
            return _numbers(content[0], (), content[1])[()]
        if key == "$small":
            return _numbers(content[0], tuple(content[1]), content[2])
        if key == "$objects":
            return self._objects_array(*content)
        if key == "$na":
            return pd.NA
        raise ValueError(f"an unknown kind of value, {key}")

    @staticmethod
    def _at(values: list[Any], number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(values):
            raise ValueError(f"a reference to {number!r}, of {len(values)}")
        return values[number]

    def _objects_array(self, dtype: str, shape: list[int], values: list[Any]) -> NDArray[Any]:
        kind = np.dtype(dtype)
        if kind.kind not in "OU" or kind.itemsize * len(values) > _SMALL * 2**20:
            raise ValueError(f"a list of {dtype}")
        array = np.empty(len(values), kind)
        for i, one in enumerate(values):  # a tuple is one value
            array[i] = self.unpack(one)
        return array.reshape(shape)

    def _unpack_object(self, packed: dict[str, Any]) -> Any:
        if packed["type"] == "DataFrame":
            return self._unpack_table(packed)
        fields = {key: self.unpack(one) for key, one in packed["fields"].items()}
        return self._make(packed["type"], fields)

    def _unpack_table(self, packed: dict[str, Any]) -> pd.DataFrame:
        about = packed["index"]
        name = self.unpack(about["name"])
        index: pd.Index[Any]
        if "range" in about:
            start, stop, step = about["range"]
            index = pd.RangeIndex(start, stop, step, name=name)
            if len(index) > _LONGEST:
                raise ValueError(f"a table of {len(index)} rows")
        else:
            found = self._unpack_column(about["values"])
            index = pd.Index(found, dtype=found.dtype, name=name)
        columns = [(key, self._unpack_column(one)) for key, one in packed["columns"]]
        if any(len(one) != len(index) for _, one in columns):
            raise ValueError("a table has columns of different lengths")
        table = {key: pd.Series(one, index=index, dtype=one.dtype) for key, one in columns}
        if len(table) < len(columns):
            raise ValueError("a table has two columns of one name")
        return pd.DataFrame(table, index=index)

    def _unpack_column(self, packed: dict[str, Any]) -> Any:
        ((kind, values),) = packed.items()
        if kind in ("str", "string"):
            if any(one is not None and not isinstance(one, str) for one in values):
                raise ValueError("a column of words holds other values")
            return _words(values, kind)
        if kind == "object":
            return self._objects_array("O", [len(values)], values)
        array = self.unpack(packed)
        if not isinstance(array, np.ndarray) or array.ndim != 1:
            raise ValueError("a column of a table is no list of numbers")
        return array


_COLLECTIONS: dict[str, Callable[..., Any]] = {
    "$tuple": tuple, "$set": set, "$frozenset": frozenset,
}  # fmt: skip


def _words(values: list[str | None], kind: str) -> Any:
    """Return a column of words as this pandas has them: before its third version, as objects."""
    if kind == "str" and pd.Series([], dtype="str").dtype == object:
        array = np.empty(len(values), dtype=object)
        array[:] = [np.nan if one is None else one for one in values]
        return array
    return pd.Series(values, dtype=kind, copy=True).array


def _numbers(dtype: str, shape: tuple[int, ...], text: str) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind not in _NUMBERS:
        raise ValueError(f"numbers of the type {dtype!r}")
    return np.frombuffer(bytes.fromhex(text), kind).reshape(shape).copy()
