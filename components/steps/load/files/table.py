"""A data file as a table that can be read again and again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.steps.load.files.source import Source, regular_file

Row = dict[str, Any]
Warn = Callable[[str], None]

LONGEST_NAME = 1_000


@dataclass(eq=False)
class Table:
    """The columns of a data file and its rows, which are read from the file as they are asked for."""

    source: Source
    columns: list[str]
    filetype: str
    read: Callable[[Warn], Iterator[Row]] = field(repr=False)
    encoding: str | None = None
    delimiter: str | None = None
    n_rows: int | None = None
    """Known at once for JSON and Parquet; for the rest once all rows were read."""
    warnings: list[str] = field(default_factory=list)
    """What the person should know; reading the rows can add to it."""
    is_checked: bool = False
    """Whether all rows were read without a fault."""

    def __post_init__(self) -> None:
        self._state = self._file_state()

    def rows(self) -> Iterator[Row]:
        """Each row as plain JSON values under every column; raises DataFileError at the row that is wrong."""
        if self._file_state() != self._state:
            raise self.source.fault("the file has changed since it was opened. Open it again.")
        n_rows = 0
        for row in self.read(self.warn):
            n_rows += 1
            self.source.refuse_rows(n_rows)
            yield row
        self.n_rows, self.is_checked = n_rows, True

    def count(self) -> int:
        """Read all rows unless that was done, so that every fault and warning of the file shows; how many they are."""
        if not self.is_checked:
            for _ in self.rows():
                pass
        return self.n_rows or 0

    def warn(self, sentence: str) -> None:
        """Add a warning, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def _file_state(self) -> tuple[int, int]:
        state = regular_file(self.source.path)
        return state.st_size, state.st_mtime_ns


def name_columns(source: Source, header: Sequence[str], where: str = "") -> tuple[list[str], list[str]]:
    """Names for the cells of a header, each there once, and warnings about those that were changed."""
    source.refuse_columns(len(header), where)
    taken = set(header)
    names: list[str] = []
    unnamed: list[str] = []
    repeated: list[str] = []
    for position, name in enumerate(header, start=1):
        if len(name) > LONGEST_NAME:
            raise source.fault(
                f"the name of column {position} is longer than {LONGEST_NAME:,} characters. "
                "Add a first row with the names of the columns.",
                where,
            )
        if not name:
            name = _free_name(f"column_{position}", "", taken | set(names))
            unnamed.append(f"'{name}'")
        elif name in names:
            name = _free_name(name, "_2", taken | set(names))
            repeated.append(f"'{name}'")
        names.append(name)
    warnings = []
    if unnamed:
        warnings.append(f"Columns without a name in the header are called {_listed(unnamed)}.")
    if repeated:
        warnings.append(f"Names that the header repeats are changed to {_listed(repeated)}.")
    return names, warnings


def tidy_name(cell: str) -> str:
    """A name as a header cell shows it, without line breaks and blanks around it."""
    return " ".join(cell.split())


def _free_name(stem: str, suffix: str, taken: set[str]) -> str:
    number = 2
    name = stem + suffix
    while name in taken:
        name = f"{stem}_{number}"
        number += 1
    return name


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown
