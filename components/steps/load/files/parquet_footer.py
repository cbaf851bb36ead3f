"""Where the columns of a Parquet file lie, read from its footer.

Arrow's own view of a damaged footer ends the process instead of raising an error, so it is not asked.
Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from collections.abc import Iterator
from dataclasses import dataclass

from components.steps.load.files.thrift_compact import STRUCT, CompactReader

_MOST_SCHEMA_PARTS = 100_000
_MOST_ROW_GROUPS = 100_000
_SCHEMA, _ROW_GROUPS = 2, 4
_GROUP_CHUNKS, _GROUP_ROWS = 1, 3
_CHUNK_METADATA = 3
_CODEC, _STORED, _DATA_START, _DICTIONARY_START = 4, 7, 9, 11
# By its number in the format, the name that Arrow has for it.
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4_hadoop", 6: "zstd", 7: "lz4_raw"}


class BrokenFooter(Exception):
    """The footer is not what the format asks for."""


@dataclass(frozen=True)
class Chunk:
    """One column in one row group: where its pages start and end, and how they are packed."""

    start: int
    end: int
    codec: str | None


@dataclass(frozen=True)
class RowGroup:
    """Rows that lie together, with the pages of each column."""

    n_rows: int
    chunks: list[Chunk]


def row_groups(footer: bytes, n_columns: int | None = None) -> Iterator[RowGroup]:
    """The row groups in order, each with this many columns; raises BrokenFooter."""
    reader = CompactReader(footer)
    seen: set[int] = set()
    try:
        for number, kind in reader.fields():
            if number in seen:
                raise BrokenFooter
            seen.add(number)
            if number == _SCHEMA:
                for _ in range(_size(reader, _MOST_SCHEMA_PARTS)):
                    reader.skip(STRUCT)
            elif number == _ROW_GROUPS:
                for _ in range(_size(reader, _MOST_ROW_GROUPS)):
                    yield _row_group(reader, n_columns)
            else:
                reader.skip(kind)
    except (IndexError, ValueError, RecursionError) as error:
        raise BrokenFooter from error


def _size(reader: CompactReader, limit: int) -> int:
    size = reader.list_size()
    if size > limit:
        raise BrokenFooter
    return size


def _row_group(reader: CompactReader, n_columns: int | None) -> RowGroup:
    n_rows = 0
    chunks: list[Chunk] = []
    for number, kind in reader.fields():
        if number == _GROUP_CHUNKS:
            size = reader.list_size()
            if n_columns is None:
                for _ in range(size):
                    reader.skip(STRUCT)
            elif size != n_columns:
                raise BrokenFooter
            else:
                chunks = [_chunk(reader) for _ in range(size)]
        elif number == _GROUP_ROWS:
            n_rows = reader.integer()
        else:
            reader.skip(kind)
    if n_rows < 0:
        raise BrokenFooter
    return RowGroup(n_rows, chunks)


def _chunk(reader: CompactReader) -> Chunk:
    found: dict[int, int] = {}
    for number, kind in reader.fields():
        if number != _CHUNK_METADATA:
            reader.skip(kind)
            continue
        for inner, inner_kind in reader.fields():
            if inner in (_CODEC, _STORED, _DATA_START, _DICTIONARY_START):
                found[inner] = reader.integer()
            else:
                reader.skip(inner_kind)
    if not found.keys() >= {_CODEC, _STORED, _DATA_START} or found[_CODEC] not in _CODECS:
        raise BrokenFooter
    start = min(found[_DATA_START], found.get(_DICTIONARY_START) or found[_DATA_START])
    if start < 0 or found[_STORED] < 0:
        raise BrokenFooter
    return Chunk(start, start + found[_STORED], _CODECS[found[_CODEC]])
