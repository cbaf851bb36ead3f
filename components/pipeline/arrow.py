"""Rows as an Arrow table, whatever their values are."""

import logging
from collections.abc import Iterable
from typing import Any

from components.steps.typing import Row

log = logging.getLogger("stillroom")


def as_table(rows: list[Row], columns: Iterable[str] = ()) -> Any:
    """Rows as an Arrow table; a column whose values do not agree on a type becomes text.

    `columns` are there even when there are no rows.
    """
    import pyarrow as pa

    names: dict[str, None] = {} if rows else dict.fromkeys(columns)
    for row in rows:
        names.update(dict.fromkeys(row))
    if not names:
        return pa.table({})
    arrays = {name: _array(name, [row.get(name) for row in rows]) for name in names}
    return pa.table(arrays)


def _array(name: str, values: Iterable[Any]) -> Any:
    import orjson
    import pyarrow as pa

    values = list(values)
    try:
        array = pa.array(values)
        # Parquet, which the Hub keeps, has no way to write an object without fields.
        return pa.array([_without_empty(value) for value in values]) if _holds_nothing(array.type) else array
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        log.warning("Column '%s' mixes kinds of values, so it was written as text.", name)
        texts = [
            value if value is None or isinstance(value, str) else orjson.dumps(value, default=str).decode()
            for value in values
        ]
        return pa.array(texts, pa.string())


def _holds_nothing(kind: Any) -> bool:
    """Whether somewhere in a kind there is an object without fields."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_holds_nothing(field.type) for field in kind)
    return pa.types.is_list(kind) and _holds_nothing(kind.value_type)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty(item) for name, item in value.items()} or None
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
