"""CSV and TSV: every cell stays the text it is."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

from components.errors import ConfigError, DataFileError
from components.steps.load.files.limits import size_text
from components.steps.load.files.source import Source
from components.steps.load.files.table import Row, Table, Warn, name_columns, tidy_name
from components.steps.load.files.text_encoding import open_text

_CANDIDATES = (",", ";", "\t", "|")
_SPELLED_OUT = {"\\t": "\t", "tab": "\t"}
_SAMPLE = 2**16
# Excel may say its delimiter in a first line of its own.
_DELIMITER_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


def open_delimited(source: Source, encoding: str, delimiter: str | None, is_tsv: bool = False) -> Table:
    """The table of a CSV or TSV file, whose first row names the columns."""
    delimiter = _checked(delimiter) if delimiter is not None else _find_delimiter(source, encoding, is_tsv)
    records = _records(source, encoding, delimiter)
    header = next((record for record in records if any(cell.strip() for cell in record[1])), None)
    if header is None:
        raise source.fault("the file is empty. Choose a file with a header and rows.")
    line, cells = header
    columns, warnings = name_columns(source, [tidy_name(cell) for cell in cells], f"line {line}")

    def read(warn: Warn) -> Iterator[Row]:
        n_empty = 0
        for number, record in _records(source, encoding, delimiter):
            if number <= line:
                continue
            if not any(record):
                n_empty += 1
            elif len(record) == len(columns):
                yield dict(zip(columns, record, strict=True))
            elif len(record) < len(columns):
                yield dict.fromkeys(columns) | dict(zip(columns, record, strict=False))
            else:
                raise _too_many(source, number, len(record), len(columns), delimiter)
        if n_empty:
            warn("1 empty row was left out." if n_empty == 1 else f"{n_empty:,} empty rows were left out.")

    return Table(
        source=source,
        columns=columns,
        filetype="tsv" if delimiter == "\t" else "csv",
        read=read,
        encoding=encoding,
        delimiter=delimiter,
        warnings=warnings,
    )


def _checked(delimiter: str) -> str:
    delimiter = _SPELLED_OUT.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ConfigError(f"The delimiter {delimiter!r} cannot be used. Give one character, such as a comma.")
    return delimiter


def _find_delimiter(source: Source, encoding: str, is_tsv: bool) -> str:
    with open_text(source, encoding) as file:
        sample = file.read(_SAMPLE)
        whole = not file.read(1)
    lines = list(io.StringIO(sample, newline=""))
    if lines and (said := _DELIMITER_LINE.fullmatch(lines[0])):
        return said[1]
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    fits = {candidate: _fit(lines, candidate) for candidate in _CANDIDATES}
    if is_tsv and fits["\t"][1] > 1:
        return "\t"
    several = [candidate for candidate in _CANDIDATES if fits[candidate][1] > 1]
    if several:
        return max(several, key=lambda candidate: fits[candidate])
    # One column: a character that no row holds keeps commas inside a sentence from looking like cells.
    return next((candidate for candidate in _CANDIDATES if fits[candidate][0] == 1), ",")


def _fit(lines: list[str], delimiter: str) -> tuple[float, int]:
    """The share of rows that are as wide as the header, and how wide that is."""
    try:
        widths = [len(record) for record in islice(csv.reader(lines, delimiter=delimiter), 200) if any(record)]
    except csv.Error:
        return 0.0, 0
    if not widths:
        return 0.0, 0
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]


class _Lines:
    """The lines of a file, none of them and no row longer than a row may be."""

    def __init__(self, source: Source, file: TextIO) -> None:
        self.number = 0
        self.first_of_row = 1
        self.row_length = 0
        self._source = source
        self._file = file

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        limit = self._source.limits.row_bytes
        line = self._file.readline(limit + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.row_length += len(line)
        if self.row_length > limit:
            raise self._source.fault(
                f"the row that starts here is longer than {size_text(limit)}. "
                "Look for a quote that is never closed, or shorten the row.",
                f"line {self.first_of_row}",
            )
        return line

    def start_row(self) -> None:
        self.first_of_row = self.number + 1
        self.row_length = 0


def _records(source: Source, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on."""
    # The standard library has one such limit for the whole process, so it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), source.limits.row_bytes))
    with open_text(source, encoding) as file:
        lines = _Lines(source, file)
        start = file.tell()
        if _DELIMITER_LINE.fullmatch(file.readline(8)):
            lines.number = 1
        else:
            file.seek(start)
        lines.start_row()
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise _not_csv(source, lines, str(error)) from error
            if lines.row_length > source.limits.cell_bytes:
                positions = (str(position) for position in range(1, len(record) + 1))
                source.refuse_cells(zip(positions, record, strict=True), f"line {lines.first_of_row}")
            yield lines.first_of_row, record
            lines.start_row()


def _not_csv(source: Source, lines: _Lines, reason: str) -> DataFileError:
    if reason == "unexpected end of data":
        return source.fault(
            "a quote in the row that starts here is never closed. Close it, or double the quotes inside a cell.",
            f"line {lines.first_of_row}",
        )
    if "expected after" in reason:
        return source.fault(
            "text follows a closing quote. Double the quotes inside a quoted cell.", f"line {lines.number}"
        )
    return source.fault(f"this cannot be read as CSV ({reason}).", f"line {lines.number}")


def _too_many(source: Source, line: int, n_cells: int, n_columns: int, delimiter: str) -> DataFileError:
    mark = {"\t": "tab"}.get(delimiter, delimiter)
    return source.fault(
        f"there are {n_cells:,} cells, but the header has {n_columns:,}. "
        f"Put quotes around a cell that holds a '{mark}', or remove what is too much.",
        f"line {line}",
    )
