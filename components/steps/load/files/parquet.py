"""Parquet, read a few rows at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.steps.load.files.limits import size_text
from components.steps.load.files.parquet_budget import rows_per_batch
from components.steps.load.files.parquet_values import Convert, NoPlainForm, converter, is_bytes
from components.steps.load.files.source import Meter, Source
from components.steps.load.files.table import Row, Table, Warn, name_columns

_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
# Without this Arrow loads the whole of each column of a row group.
_BUFFER = 2**16
# What Python keeps for a cell beyond its value; it makes a file of a billion nulls as large as it is to read.
_CELL_COST = 16


def open_parquet(source: Source) -> Table:
    """The table of a Parquet file; `converter` says what becomes of its types."""
    _refuse_torn(source)
    with _opened(source) as file:
        metadata, schema = file.metadata, file.schema_arrow
        source.refuse_columns(metadata.num_columns)
        if not len(schema):
            raise source.fault("there are no columns. Choose a file with data.")
        columns, warnings = name_columns(source, schema.names)
        n_rows = int(metadata.num_rows)
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
        return _rows(source, converters, n_rows)

    return Table(source=source, columns=columns, filetype="parquet", read=read, n_rows=n_rows, warnings=warnings)


def _refuse_torn(source: Source) -> None:
    with source.path.open("rb") as file:
        head = file.read(4)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if _ENCRYPTED_MAGIC in (head, tail[4:]):
        raise source.fault("the file is encrypted. Save it without encryption.")
    if head != _MAGIC:
        raise source.fault("this is not a Parquet file. Choose its real file type.")
    if tail[4:] != _MAGIC or int.from_bytes(tail[:4], "little") > size - 12:
        raise source.fault("the end of the file is missing. It was cut off: get the whole file again.")


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """The file in Arrow, whose errors are told as ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pa.OSFile(os.fsencode(source.path)) as data:
            yield pq.ParquetFile(data, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise source.fault(
            f"it cannot be read as Parquet ({reason}). Get the file again, or save it as JSON Lines."
        ) from error


def _rows(source: Source, converters: dict[str, Convert | None], n_rows: int) -> Iterator[Row]:
    meter = Meter(source)
    done = 0
    with _opened(source) as file, source.path.open("rb") as pages:
        for group in range(file.metadata.num_row_groups):
            if not file.metadata.row_group(group).num_rows:
                continue
            size = rows_per_batch(source, pages, file.metadata, group)
            for batch in file.iter_batches(size, row_groups=[group], use_threads=False):
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
