"""JSON Lines: one object a line."""

from collections.abc import Iterator
from typing import Any

from components.errors import DataFileError
from components.steps.load.files.json_columns import table_of_objects
from components.steps.load.files.json_text import JsonProblem, StrictJson, kind_of
from components.steps.load.files.limits import size_text
from components.steps.load.files.source import Source
from components.steps.load.files.table import Table, Warn
from components.steps.load.files.text_encoding import open_text


def open_json_lines(source: Source, encoding: str) -> Table:
    """The table of a JSON Lines file."""

    def objects(warn: Warn) -> Iterator[tuple[int, dict[str, Any]]]:
        return _objects(source, encoding, warn)

    return table_of_objects(source, "jsonl", encoding, objects)


def _objects(source: Source, encoding: str, warn: Warn) -> Iterator[tuple[int, dict[str, Any]]]:
    limits = source.limits
    strict = StrictJson(limits.json_depth)
    number = n_empty = 0
    with open_text(source, encoding) as file:
        while line := file.readline(limits.row_bytes + 1):
            number += 1
            where = f"line {number}"
            if len(line) > limits.row_bytes:
                raise source.fault(f"the line is longer than {size_text(limits.row_bytes)}. Shorten it.", where)
            text = line.strip()
            if not text:
                n_empty += 1
                continue
            if text[0] != "{":
                raise _not_an_object(source, text, where)
            try:
                found, end = strict.parse_at(text, 0)
            except JsonProblem as problem:
                raise _fault(source, problem, where, is_last=not line.endswith(("\n", "\r"))) from problem
            if end != len(text):
                raise source.fault(f"text follows the object at column {end + 1}. Write one object a line.", where)
            if len(text) > limits.cell_bytes:
                source.refuse_cells(found.items(), where)
            yield number, found
    if n_empty:
        warn("1 empty line was left out." if n_empty == 1 else f"{n_empty:,} empty lines were left out.")


def _not_an_object(source: Source, text: str, where: str) -> DataFileError:
    if text[0] in '["-0123456789' or text in ("true", "false", "null", "NaN", "Infinity"):
        return source.fault(f'this is {kind_of(text[0])}, not an object. Write {{"column": value}}.', where)
    return source.fault("this is not JSON. Write one object a line, or choose another file type.", where)


def _fault(source: Source, problem: JsonProblem, where: str, is_last: bool) -> DataFileError:
    if problem.is_cut and is_last:
        return source.fault("the file ends inside this row. Get the whole file again, or remove this line.", where)
    column = f" at column {problem.position + 1}" if problem.position is not None else ""
    return source.fault(f"{problem.problem}{column}.", where)
