"""The columns of JSON objects, which need not all have the same keys."""

from collections.abc import Callable, Iterator
from typing import Any

from components.steps.load.files.source import Source
from components.steps.load.files.table import LONGEST_NAME, Row, Table, Warn

Objects = Callable[[Warn], Iterator[tuple[int, dict[str, Any]]]]
"""Reads a file from its start: each object with the line it is on."""


def table_of_objects(source: Source, filetype: str, encoding: str, objects: Objects) -> Table:
    """A table with a column for every key; reads all of the file once, so a fault anywhere in it shows now."""
    warnings: list[str] = []
    columns: dict[str, None] = {}
    n_rows = 0
    for line, found in objects(warnings.append):
        n_rows += 1
        source.refuse_rows(n_rows)
        if not columns.keys() >= found.keys():
            columns.update(dict.fromkeys(found))
            source.refuse_columns(len(columns), f"line {line}")
            _refuse_names(source, found, f"line {line}")
    if not n_rows:
        raise source.fault("there are no rows, so there are no columns either. Choose a file with rows.")
    if not columns:
        raise source.fault("its objects have no keys, so there are no columns. Choose a file with data.")
    names = list(columns)

    def read(warn: Warn) -> Iterator[Row]:
        for _, found in objects(warn):
            yield found if list(found) == names else {name: found.get(name) for name in names}

    return Table(
        source=source,
        columns=names,
        filetype=filetype,
        read=read,
        encoding=encoding,
        n_rows=n_rows,
        is_checked=True,
        warnings=warnings,
    )


def _refuse_names(source: Source, found: dict[str, Any], where: str) -> None:
    if "" in found:
        raise source.fault("a key is empty. Give it a name.", where)
    if any(len(name) > LONGEST_NAME for name in found):
        raise source.fault(f"a key is longer than {LONGEST_NAME:,} characters. Give it a shorter name.", where)
