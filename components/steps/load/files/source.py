"""The file that is being read: where it is, what it may hold, and how its faults are told."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.errors import DataFileError
from components.steps.load.files.limits import FileLimits, size_text


@dataclass(frozen=True)
class Source:
    """A regular, readable file that is not empty, and the limits it is held to."""

    path: Path
    limits: FileLimits

    @property
    def name(self) -> str:
        return shown_name(self.path)

    def fault(self, problem: str, where: str = "") -> DataFileError:
        """The error to raise: file, place, and one sentence."""
        return DataFileError(f"{self.name}{', ' if where else ''}{where}: {problem}")

    def refuse_columns(self, n_columns: int, where: str = "") -> None:
        """Raise when there are more columns than the limit."""
        if n_columns > self.limits.columns:
            raise self.fault(
                f"there are {n_columns:,} columns, and at most {self.limits.columns:,} can be read. "
                "Remove the columns you do not need.",
                where,
            )

    def refuse_rows(self, n_rows: int) -> None:
        """Raise when there are more rows than the limit."""
        limit = self.limits.rows
        if limit is not None and n_rows > limit:
            raise self.fault(f"there are more than {limit:,} rows, the most that is read. Split the file.")

    def refuse_cells(self, cells: Iterable[tuple[str, object]], where: str) -> None:
        """Raise when a text in named cells is longer than the limit."""
        for column, value in cells:
            if isinstance(value, str) and len(value) > self.limits.cell_bytes:
                raise self.fault(
                    f"the cell in column '{shown(column)}' holds {size_text(len(value))}, "
                    f"and at most {size_text(self.limits.cell_bytes)} can be read. Shorten it or remove the row.",
                    where,
                )


class Meter:
    """Counts what a packed file unpacks to, and stops it at the limit."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Count more bytes; raises DataFileError when they pass the limit."""
        self._n_bytes += n_bytes
        limit = self._source.limits.decoded_bytes
        if self._n_bytes > limit:
            raise self._source.fault(f"it unpacks to more than {size_text(limit)}, the most that is read. Split it.")


def shown(text: str) -> str:
    """A text of a file as a message can quote it."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 80 else f"{text[:80]}..."


def shown_name(path: Path) -> str:
    """The file's name without its folder, safe to show on one line."""
    name = path.name or str(path)
    return name if name.isprintable() else ascii(name)[1:-1]


def regular_file(path: Path) -> os.stat_result:
    """The state of a file that can be read; raises DataFileError for anything else."""
    name = shown_name(path)
    try:
        state = path.stat()
        if stat.S_ISDIR(state.st_mode):
            raise DataFileError(f"{name}: this is a folder. Choose a file in it.")
        if not stat.S_ISREG(state.st_mode):
            raise DataFileError(f"{name}: this is not a regular file. Save the data to a file first.")
        with path.open("rb"):
            pass
    # A path that holds a NUL character is a ValueError, and names no file either.
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise DataFileError(f"{name}: there is no such file. Check the name and the folder.") from error
    except PermissionError as error:
        raise DataFileError(f"{name}: this account may not read the file. Change its permissions.") from error
    except OSError as error:
        raise DataFileError(f"{name}: the file cannot be opened ({error.strerror}).") from error
    return state
