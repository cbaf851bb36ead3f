"""The results of a run as a file: with what people said in place, streamed, also from a run that is not done."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from app.settings import Settings
from app.studio.labels import LabelRecord
from app.studio.results import ResultTables, Table
from app.studio.spreadsheet import csv_chunks
from components.errors import ConfigError, did_you_mean
from components.pipeline.ledger.results import Result
from components.states import CellState, LabelState

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
STATE, REASON, REHEARSAL = "stillroom_state", "stillroom_reason", "stillroom_rehearsal"
CHUNK = 256 * 1024
AT_ONCE = 500
Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """A file to hand out, piece by piece; nothing of it is read before the first piece is asked for."""

    filename: str
    media_type: str
    chunks: Iterator[bytes]


class Exports:
    """Writes results as CSV, JSON Lines or Parquet.

    Beside the columns of the rows there are `stillroom_state` and `stillroom_reason` (and `stillroom_rehearsal` where
    no model was asked). A column that people corrected holds what counts; `<column>_model` holds what the model said
    and `<column>_state` how far a person vouched for it.
    """

    def __init__(self, settings: Settings, results: ResultTables) -> None:
        self._folder = settings.home / "exports"
        self._results = results

    def export(
        self,
        run_id: str,
        *,
        step: str = "",
        format: str = "csv",
        states: Sequence[str] = (),
        safe_for_spreadsheets: bool = True,
    ) -> Export:
        """The results of a step, the last one unless named; `states` leaves other rows out.

        A CSV that is safe for spreadsheets has an apostrophe before whatever would be a formula there, and begins
        with a byte order mark, as Excel needs it. Raises: NotFound; ConfigError.
        """
        if format not in MEDIA_TYPES:
            raise ConfigError(f"There is no format '{format}'.{did_you_mean(format, MEDIA_TYPES)}")
        for state in states:
            if state not in list(CellState):
                raise ConfigError(f"There is no state '{state}'.{did_you_mean(state, CellState)}")
        table = self._results.table(run_id, step)
        writers: dict[str, Callable[[], Iterator[bytes]]] = {
            "csv": lambda: self._csv(table, states, safe_for_spreadsheets),
            "jsonl": lambda: self._jsonl(table, states),
            "parquet": lambda: self._parquet(table, states),
        }
        return Export(_file_name(table, format), MEDIA_TYPES[format], writers[format]())

    def write(self, run_id: str, path: Path | str, **options: Any) -> None:
        """Write the results to a file of the kind that its ending says. Raises: NotFound; ConfigError."""
        path = Path(path)
        options.setdefault("format", path.suffix.lstrip(".").lower())
        export = self.export(run_id, **options)
        try:
            with path.open("wb") as file:
                file.writelines(export.chunks)
        except OSError as error:
            raise ConfigError(f"{path} could not be written: {error.strerror}.") from None

    @contextmanager
    def parquet_file(self, table: Table, states: Sequence[str] = ()) -> Iterator[Path]:
        """The results as a Parquet file that is gone after the block."""
        from app.studio.columnar import Kinds, write_parquet

        kinds = Kinds()
        with self._spooled(table, states, kinds.see) as (columns, rows), self._temporary() as path:
            write_parquet(path, kinds.of(columns), rows)
            yield path

    def _csv(self, table: Table, states: Sequence[str], is_safe: bool) -> Iterator[bytes]:
        with self._spooled(table, states) as (columns, rows):
            lines = ([row.get(name) for name in columns] for row in rows())
            yield from csv_chunks(columns, lines, is_safe=is_safe)

    def _jsonl(self, table: Table, states: Sequence[str]) -> Iterator[bytes]:
        empty = dict.fromkeys(table.columns)
        buffer = bytearray()
        for row in self._rows(table, states):
            buffer += orjson.dumps({**empty, **row}, option=orjson.OPT_APPEND_NEWLINE)
            if len(buffer) > CHUNK:
                yield bytes(buffer)
                buffer.clear()
        yield bytes(buffer)

    def _parquet(self, table: Table, states: Sequence[str]) -> Iterator[bytes]:
        with self.parquet_file(table, states) as path, path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    @contextmanager
    def _spooled(
        self, table: Table, states: Sequence[str], see: Callable[[Row], None] = lambda _row: None
    ) -> Iterator[tuple[list[str], Callable[[], Iterator[Row]]]]:
        """All columns and the rows, set aside first: a run under way must not change between two looks at it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        columns: dict[str, None] = dict.fromkeys(table.columns)
        with tempfile.TemporaryFile(dir=self._folder) as spool:
            for row in self._rows(table, states):
                columns |= dict.fromkeys(row)
                see(row)
                spool.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            yield _in_order(columns), lambda: _read(spool)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield Path(folder) / "rows.parquet"

    def _rows(self, table: Table, states: Sequence[str]) -> Iterator[Row]:
        labels = self._results.labels_by_row(table)
        names = _label_columns(table, labels)
        group: list[Result] = []
        for result in table.results.all(states):
            group.append(result)
            if len(group) == AT_ONCE:
                yield from self._flat(table, group, labels, names)
                group = []
        yield from self._flat(table, group, labels, names)

    def _flat(
        self,
        table: Table,
        results: Sequence[Result],
        labels: Mapping[str, list[LabelRecord]],
        names: Mapping[str, tuple[str, str]],
    ) -> Iterator[Row]:
        for row in self._results.merged(table, results, labels):
            flat = dict(row.values)
            for column, (model, state) in names.items():
                flat[model] = row.original.get(column, row.values.get(column))
                if row.label_state.get(column) == LabelState.HUMAN_ONLY:
                    flat[model] = None
                flat[state] = str(row.label_state.get(column, LabelState.LLM_ONLY if flat[model] is not None else ""))
            flat[STATE], flat[REASON] = row.state, row.reason
            if table.run.is_rehearsal:
                flat[REHEARSAL] = True
            yield flat


def _label_columns(table: Table, labels: Mapping[str, list[LabelRecord]]) -> dict[str, tuple[str, str]]:
    """For each column that somebody looked at, the names of its two companions."""
    said = {
        label.column for group in labels.values() for label in group if table.layout.reaches(label.column, label.step)
    }
    taken = set(table.columns)
    names: dict[str, tuple[str, str]] = {}
    for column in (name for name in table.columns if name in said):
        companions = (_unused(f"{column}_model", taken), _unused(f"{column}_state", taken))
        taken.update(companions)
        names[column] = companions
    return names


def _unused(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}_{number}"
    return free


def _in_order(columns: Mapping[str, None]) -> list[str]:
    """Companions right after their column, and what Stillroom says of the row at the end."""
    own = [name for name in (STATE, REASON, REHEARSAL) if name in columns]
    rest = [name for name in columns if name not in own]
    ordered: list[str] = []
    for name in rest:
        if name not in ordered:
            ordered.append(name)
            ordered += [one for one in (f"{name}_model", f"{name}_state") if one in columns and one not in ordered]
    return ordered + own


def _read(spool: IO[bytes]) -> Iterator[Row]:
    spool.seek(0)
    for line in spool:
        yield orjson.loads(line)


def _file_name(table: Table, format: str) -> str:
    """A name of plain signs for the download."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", table.run.name).strip("-.")[:60] or "results"
    rehearsal = "-rehearsal" if table.run.is_rehearsal else ""
    return f"{stem}-{table.run.id[2:10]}{rehearsal}.{format}"
