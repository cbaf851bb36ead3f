"""How many rows of a Parquet file can be unpacked at a time, and when even that is too much."""

from typing import Any, BinaryIO

from components.steps.load.files.limits import size_text
from components.steps.load.files.parquet_footer import Chunk, RowGroup
from components.steps.load.files.parquet_pages import BrokenPages, Pages, longest_entry, pages_of
from components.steps.load.files.source import Source, shown

_MOST_ROWS = 256
_BATCH_BYTES = 16 * 2**20
# What a person's file holds rarely shrinks to less than a twentieth; a bomb shrinks to a thousandth.
_ALWAYS_ALLOWED = 128 * 2**20
_MOST_INFLATION = 20
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
# Offsets, levels and validity that Arrow keeps beside each value.
_BESIDE = 12
_SMALL_DICTIONARY = 2**12


def rows_per_batch(source: Source, file: BinaryIO, row_group: RowGroup, schema: Any) -> int:
    """How many rows of a row group to read at a time; raises DataFileError for a group that unpacks to too much."""
    stored = resident = 0
    row = 0.0
    columns = []
    for index, chunk in enumerate(row_group.chunks):
        column = schema.column(index)
        try:
            pages = pages_of(file, chunk.start, chunk.end)
        except BrokenPages as error:
            raise source.fault(
                "its data pages are damaged. Get the file again.", f"column '{shown(column.path)}'"
            ) from error
        stored += pages.stored
        # A page lies there packed into values, and once more as the values that came out of it.
        resident += 2 * (pages.largest + pages.dictionary[2])
        columns.append((chunk, column, pages))
    allowed = max(_ALWAYS_ALLOWED, _MOST_INFLATION * stored)
    _refuse_more(source, resident, allowed)
    for chunk, column, pages in columns:
        width = _WIDTHS.get(column.physical_type) or column.length or 0
        longest = 0 if width else _longest_indexed(file, chunk, pages)
        if column.max_repetition_level:
            # One row may hold all the values, which only unpacking would tell.
            unpacked = pages.n_values * (width + _BESIDE) + pages.n_indexed * longest
            unpacked += 0 if width else pages.plain + pages.n_prefixed * pages.largest
            resident += unpacked
            row += unpacked / max(row_group.n_rows, 1)
        else:
            row += _BESIDE + (width or max(longest, pages.densest, pages.largest if pages.n_prefixed else 0))
    _refuse_more(source, resident, allowed)
    return max(1, min(_MOST_ROWS, int(_BATCH_BYTES / max(row, 1))))


def _refuse_more(source: Source, n_bytes: int, allowed: int) -> None:
    if n_bytes > allowed:
        raise source.fault(
            f"a part of it takes {size_text(n_bytes)} to unpack, far more than its size on disk. "
            "Write it again with smaller row groups, or as JSON Lines."
        )


def _longest_indexed(file: BinaryIO, chunk: Chunk, pages: Pages) -> int:
    """The length of the longest text in the dictionary, or a number that is surely not less."""
    import pyarrow as pa

    start, stored, unpacked = pages.dictionary
    if not pages.n_indexed or unpacked <= _SMALL_DICTIONARY:
        return unpacked
    file.seek(start)
    data = file.read(stored)
    try:
        if chunk.codec:
            data = pa.Codec(chunk.codec).decompress(data, unpacked, asbytes=True)
        return longest_entry(data)
    except (pa.ArrowException, OSError, ValueError, BrokenPages):
        return unpacked
