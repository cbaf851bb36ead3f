"""Rows from files on this machine."""

import hashlib
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from components.component import DataFile, Incidental, RuntimeParameter
from components.errors import ConfigError
from components.steps.load.batches import in_batches
from components.steps.step import GeneratorStep
from components.steps.typing import GeneratorStepOutput, Row, StepColumns

log = logging.getLogger("stillroom.load")

CHUNK = 1024 * 1024


class LoadDataFromFileSystem(GeneratorStep):
    """Start from data files: CSV, TSV, XLSX, JSON, JSON Lines or Parquet."""

    data_files: Incidental[RuntimeParameter[DataFile | list[DataFile]]] = None
    """The file, or files that are read one after the other."""
    filetype: RuntimeParameter[str] = None
    """The kind of file, such as csv or jsonl; left empty, it is taken from the name and the content."""
    encoding: RuntimeParameter[str] = None
    """The encoding of text files, such as utf-8 or latin-1; left empty, it is detected."""
    delimiter: RuntimeParameter[str] = Field(None, min_length=1, max_length=1)
    """The character between columns of a text file; left empty, it is detected."""
    num_examples: RuntimeParameter[int] = Field(None, ge=1)
    """Read only this many rows, from the beginning."""

    @property
    def outputs(self) -> StepColumns:
        return list(dict.fromkeys(name for path in self._paths() for name in self._open(path).columns))

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        yield from in_batches(islice(self._rows(), offset, self.num_examples), self.batch_size)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in self._paths():
            self._open(path)
            with Path(path).open("rb") as file:
                part = hashlib.sha256()
                while chunk := file.read(CHUNK):
                    part.update(chunk)
            digest.update(part.digest())
        return digest.hexdigest()

    def _rows(self) -> Iterator[Row]:
        tables = [self._open(path) for path in self._paths()]
        empty = dict.fromkeys(name for table in tables for name in table.columns)
        for table in tables:
            for row in table.rows():
                yield {**empty, **row}
            for warning in table.warnings:
                log.warning("%s: %s", self.name, warning)

    def _open(self, path: str) -> Any:
        from components.steps.load.files import open_table

        return open_table(path, filetype=self.filetype, encoding=self.encoding, delimiter=self.delimiter)

    def _paths(self) -> list[str]:
        if not self.data_files:
            raise ConfigError(f"{self._title()} needs a data file. Set data_files to the path of one.")
        return [self.data_files] if isinstance(self.data_files, str) else list(self.data_files)
