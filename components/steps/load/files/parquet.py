"""Parquet, read a few rows at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.steps.load.files.limits import size_text
from components.steps.load.files.parquet_budget import rows_per_batch
from components.steps.load.files.parquet_footer import BrokenFooter, RowGroup, row_groups
from components.steps.load.files.parquet_values import Convert, NoPlainForm, converter, is_bytes
from components.steps.load.files.source import Meter, Source, shown
from components.steps.load.files.table import Row, Table, Warn, name_columns

_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
_LONGEST_FOOTER = 2**25
# Without this Arrow loads the whole of each column of a row group.
_BUFFER = 2**16
# What Python keeps for a cell beyond its value; it makes a file of a billion nulls as large as it is to read.
_CELL_COST = 16


def open_parquet(source: Source) -> Table:
    """The table of a Parquet file; `converter` says what becomes of its types."""
    footer = _footer(source)
    with _opened(source) as file:
        schema, n_leaves = file.schema_arrow, file.metadata.num_columns
        source.refuse_columns(n_leaves)
        if not len(schema):
            raise source.fault("there are no columns. Choose a file with data.")
        columns, warnings = name_columns(source, schema.names)
        n_rows = int(file.metadata.num_rows)
    source.refuse_rows(n_rows)
    converters = {}
    for name, field in zip(columns, schema, strict=True):
        try:
            converters[name] = converter(field.type)
        except NoPlainForm as problem:
            raise source.fault(f"{problem}.", f"column '{name}'") from problem
        if is_bytes(field.type):
            warnings.append(f"Column '{name}' holds bytes; they are read as base64 text.")

    def read(_: Warn) -> Iterator[Row]:
        return _rows(source, footer, converters, n_rows)

    return Table(source=source, columns=columns, filetype="parquet", read=read, n_rows=n_rows, warnings=warnings)


def _footer(source: Source) -> bytes:
    with source.path.open("rb") as file:
        head = file.read(4)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        file.seek(max(0, size - 8 - length))
        footer = file.read(min(length, _LONGEST_FOOTER + 1))
    if _ENCRYPTED_MAGIC in (head, tail[4:]):
        raise source.fault("the file is encrypted. Save it without encryption.")
    if head != _MAGIC or tail[4:] != _MAGIC or length > size - 12:
        raise source.fault("the end of the file is missing. It was cut off: get the whole file again.")
    if len(footer) > _LONGEST_FOOTER:
        raise source.fault(f"its footer is longer than {size_text(_LONGEST_FOOTER)}. Write it with larger row groups.")
    for _ in _row_groups(source, footer):
        pass
    return footer


def _row_groups(source: Source, footer: bytes, n_columns: int | None = None) -> Iterator[RowGroup]:
    try:
        yield from row_groups(footer, n_columns)
    except BrokenFooter as error:
        raise source.fault("its footer is damaged. Get the file again.") from error


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """The file in Arrow, whose errors are told as ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pa.OSFile(os.fsencode(source.path)) as data:
            yield pq.ParquetFile(data, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        reason = shown(" ".join(str(error).split())).rstrip(".")
        raise source.fault(
            f"it cannot be read as Parquet ({reason}). Get the file again, or save it as JSON Lines."
        ) from error


def _rows(source: Source, footer: bytes, converters: dict[str, Convert | None], n_rows: int) -> Iterator[Row]:
    meter = Meter(source)
    done = 0
    with _opened(source) as file, source.path.open("rb") as pages:
        for number, group in enumerate(_row_groups(source, footer, file.metadata.num_columns)):
            if not group.n_rows:
                continue
            size = rows_per_batch(source, pages, group, file.schema)
            for batch in file.iter_batches(size, row_groups=[number], use_threads=False):
                meter.add(batch.nbytes + _CELL_COST * batch.num_rows * batch.num_columns)
                yield from _plain_rows(source, converters, batch, done)
                done += batch.num_rows
    if done != n_rows:
        raise source.fault(f"there are {done:,} rows, but the file says {n_rows:,}. Get the file again.")


def _plain_rows(source: Source, converters: dict[str, Convert | None], batch: Any, done: int) -> Iterator[Row]:
    cells = []
    for (name, convert), column in zip(converters.items(), batch.columns, strict=True):
        _refuse_large_cells(source, name, column, done)
        cells.append(_plain_values(source, name, convert, column, done))
    for row in zip(*cells, strict=True):
        yield dict(zip(converters, row, strict=True))


def _refuse_large_cells(source: Source, name: str, column: Any, done: int) -> None:
    limit = source.limits.cell_bytes
    if column.nbytes <= limit:
        return
    for position in range(len(column)):
        n_bytes = column.slice(position, 1).nbytes
        if n_bytes > limit:
            raise source.fault(
                f"the cell unpacks to {size_text(n_bytes)}, and at most {size_text(limit)} can be read. Shorten it.",
                f"row {done + position + 1}, column '{name}'",
            )


def _plain_values(source: Source, name: str, convert: Convert | None, column: Any, done: int) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    # Arrow holds dates and zones that Python has no value for, and texts that are not UTF-8.
    except (ValueError, OverflowError, LookupError) as error:
        where = f"rows {done + 1} to {done + len(column)}, column '{name}'"
        raise source.fault(
            f"a value cannot be read ({error}). Correct it, or save the column as text.", where
        ) from error
    if convert is None:
        return values
    converted: list[Any] = []
    try:
        for value in values:
            converted.append(convert(value))
    except NoPlainForm as problem:
        where = f"row {done + len(converted) + 1}, column '{name}'"
        raise source.fault(f"{problem}.", where) from problem
    return converted
