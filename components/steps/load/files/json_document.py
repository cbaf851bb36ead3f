"""JSON: a list of objects, or objects one after another over several lines each."""

import re
from collections.abc import Iterator
from typing import Any, TextIO

from components.errors import DataFileError
from components.steps.load.files.json_columns import table_of_objects
from components.steps.load.files.json_text import JsonProblem, StrictJson, kind_of
from components.steps.load.files.limits import size_text
from components.steps.load.files.source import Source
from components.steps.load.files.table import Table, Warn
from components.steps.load.files.text_encoding import open_text

_CHUNK = 2**16
_BLANKS = re.compile(r"[ \t\r\n]*")
_STARTS_OF_VALUES = '{["-0123456789tfnNI'


def open_json_document(source: Source, encoding: str) -> Table:
    """The table of a JSON file."""

    def objects(warn: Warn) -> Iterator[tuple[int, dict[str, Any]]]:
        with open_text(source, encoding) as file:
            document = _Document(source, file)
            if document.next_character() == "[":
                yield from _items(document)
            else:
                yield from _sequence(document, warn)

    return table_of_objects(source, "json", encoding, objects)


class _Document:
    """A text that is read as far as it is needed, and forgotten as soon as it was."""

    def __init__(self, source: Source, file: TextIO) -> None:
        self.line = 1
        self._source = source
        self._file = file
        self._text = ""
        self._position = 0
        self._columns_before = 0
        self._strict = StrictJson(source.limits.json_depth)

    def next_character(self) -> str:
        """The next one that is not blank, left in place; empty at the end."""
        while True:
            if blanks := _BLANKS.match(self._text, self._position):
                self._advance(blanks.end())
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_on(_CHUNK):
                return ""

    def skip_character(self) -> None:
        self._advance(self._position + 1)

    def object(self) -> tuple[int, dict[str, Any]]:
        """The object that starts here, with its line."""
        limits = self._source.limits
        self._expect_object()
        while True:
            try:
                found, end = self._strict.parse_at(self._text, self._position)
                break
            except JsonProblem as problem:
                # What looks wrong may only be not read yet, so more is read before it is called wrong.
                pending = len(self._text) - self._position
                more = min(max(_CHUNK, pending), limits.row_bytes + 1 - pending)
                if problem.position is None or more <= 0 or not self._read_on(more):
                    raise self._told(problem, pending) from problem
        start_line = self.line
        size = end - self._position
        if size > limits.row_bytes:
            raise self.fault(f"the object is longer than {size_text(limits.row_bytes)}. Shorten it.")
        if size > limits.cell_bytes:
            self._source.refuse_cells(found.items(), f"line {start_line}")
        self._advance(end)
        return start_line, found

    def fault(self, problem: str) -> DataFileError:
        return self._source.fault(problem, f"line {self.line}")

    def cut_off(self) -> DataFileError:
        return self.fault("the file ends inside the list. It was cut off: get the whole file again.")

    def _expect_object(self) -> None:
        character = self.next_character()
        if not character:
            raise self.cut_off()
        if character not in _STARTS_OF_VALUES:
            raise self.fault(f"{character!a} is not JSON here. Write a list of objects, or choose another file type.")
        if character != "{":
            raise self.fault(f'this is {kind_of(character)}, not an object. Write {{"column": value}}.')

    def _advance(self, position: int) -> None:
        self.line += self._text.count("\n", self._position, position)
        self._position = position

    def _read_on(self, size: int) -> bool:
        more = self._file.read(size)
        if more:
            line_start = self._text.rfind("\n", 0, self._position) + 1
            self._columns_before = self._position - line_start + (0 if line_start else self._columns_before)
            self._text = self._text[self._position :] + more
            self._position = 0
        return bool(more)

    def _told(self, problem: JsonProblem, pending: int) -> DataFileError:
        position = problem.position
        if position is None:
            return self.fault(f"{problem.problem}.")
        if problem.is_cut and pending > self._source.limits.row_bytes:
            return self.fault(f"the object is longer than {size_text(self._source.limits.row_bytes)}. Shorten it.")
        if problem.is_cut:
            return self.fault("the file ends inside the object that starts here. Get the whole file again.")
        line_start = self._text.rfind("\n", 0, position) + 1
        column = position - line_start + 1 + (0 if line_start else self._columns_before)
        line = self.line + self._text.count("\n", self._position, position)
        return self._source.fault(f"{problem.problem} at column {column}.", f"line {line}")


def _items(document: _Document) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list that fills the file."""
    document.skip_character()
    if document.next_character() == "]":
        document.skip_character()
    else:
        while True:
            yield document.object()
            mark = document.next_character()
            if not mark:
                raise document.cut_off()
            if mark not in ",]":
                raise document.fault("a comma is missing between two objects. Add it.")
            document.skip_character()
            if mark == "]":
                break
    if document.next_character():
        raise document.fault("text follows the end of the list. Remove it.")


def _sequence(document: _Document, warn: Warn) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects with nothing but blanks between them."""
    n_objects = 0
    while document.next_character():
        yield document.object()
        n_objects += 1
    if n_objects == 1:
        warn("The file holds one object, which is read as one row.")
