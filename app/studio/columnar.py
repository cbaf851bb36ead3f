"""Parquet with one schema for the whole run, however its first rows look, written one group of rows at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
ROWS = 2_000
WRONG_KIND = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)


class Kinds:
    """The kind of value in each column, found out row by row; kinds that do not go together become text."""

    def __init__(self) -> None:
        self._kinds: dict[str, Any] = {}
        self._waiting: dict[str, list[Any]] = {}
        self._count = 0

    def see(self, row: Row) -> None:
        """Take a row into account."""
        for name, value in row.items():
            self._waiting.setdefault(name, []).append(value)
        self._count += 1
        if self._count % ROWS == 0:
            self._settle()

    def of(self, columns: Sequence[str]) -> dict[str, Any]:
        """The Arrow type of each of these columns; one without any value is text."""
        self._settle()
        kinds = {name: self._kinds.get(name, pa.null()) for name in columns}
        return {name: pa.string() if _holds_nothing(kind) else _filled(kind) for name, kind in kinds.items()}

    def _settle(self) -> None:
        for name, values in self._waiting.items():
            self._kinds[name] = _together(self._kinds.get(name), _kind(values))
        self._waiting.clear()


def write_parquet(path: Path, kinds: dict[str, Any], rows: Callable[[], Iterable[Row]]) -> None:
    """Write a Parquet file; a column whose values turn out not to be of its kind is written as text."""
    while (wrong := _attempt(path, kinds, rows())) is not None:
        kinds = kinds | {wrong: pa.string()}


def _attempt(path: Path, kinds: dict[str, Any], rows: Iterable[Row]) -> str | None:
    """Returns the column that was not of its kind, or None when all is written."""
    schema = pa.schema(list(kinds.items()))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            arrays = []
            for name, kind in kinds.items():
                try:
                    arrays.append(_array([row.get(name) for row in group], kind))
                except WRONG_KIND:
                    if pa.types.is_string(kind):
                        raise
                    return name
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return None


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS:
            yield group
            group = []
    if group:
        yield group


def _kind(values: list[Any]) -> Any:
    try:
        return pa.array(values).type
    except WRONG_KIND:
        return pa.string()


def _together(one: Any, other: Any) -> Any:
    if one is None or one.equals(other):
        return other
    try:
        schemas = [pa.schema([("value", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field("value").type
    except WRONG_KIND:
        return pa.string()


def _holds_nothing(kind: Any) -> bool:
    """Whether somewhere in a kind there is an object without fields, which Parquet cannot write."""
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_holds_nothing(kind.field(at).type) for at in range(kind.num_fields))
    return pa.types.is_list(kind) and _holds_nothing(kind.value_type)


def _filled(kind: Any) -> Any:
    """A kind with text wherever no value was ever seen."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_filled(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _filled(field.type)) for field in kind])
    return kind


def _array(values: list[Any], kind: Any) -> Any:
    if pa.types.is_string(kind):
        values = [
            value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values
        ]
    return pa.array(values, kind)
