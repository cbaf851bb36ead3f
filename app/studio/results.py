"""The rows of a run as people see and correct them; what the model said is always kept beside."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.studio.errors import NotFound
from app.studio.labels import LabelRecord, Labels
from app.studio.layout import Layout, layout_of
from app.studio.runs import Runs
from app.studio.settled import OPEN, SETTLED, SettledRows, TableQuery, TableResults, is_settled, place_of
from app.studio.table_rows import SHORTENED, Row, cell_of, column_of, label_of, position, row_of
from components.errors import ConfigError, did_you_mean
from components.pipeline.ledger import Ledger, Run
from components.pipeline.ledger.results import LONGEST_PAGE, Query, Result, Results
from components.states import CellState, LabelState, Reason
from components.steps.step import METADATA

LONGEST_VALUE = 200_000
LONGEST_NOTE = 2_000
LAYOUTS = 64
AT_ONCE = 500
MISSING = object()


@dataclass(frozen=True)
class Table:
    """The results of one step of a run, with everything needed to read them."""

    run: Run
    layout: Layout
    results: TableResults

    @property
    def columns(self) -> list[str]:
        """The columns of the finished rows, and those that the step will make."""
        names = dict.fromkeys([*self.results.columns(), *self.layout.own])
        return [name for name in names if name != METADATA]


class ResultTables:
    """Pages, single rows and corrections."""

    def __init__(self, ledger: Ledger, runs: Runs, labels: Labels) -> None:
        self._ledger, self._runs, self._labels = ledger, runs, labels
        self._layouts: dict[tuple[str, str], Layout] = {}
        self._settled: dict[tuple[str, str], tuple[Any, SettledRows]] = {}
        self._lock = threading.Lock()

    def table(self, run_id: str, step: str = "") -> Table:
        """The results of a step; of the last one unless it is named. Raises: NotFound; ConfigError."""
        run = self._runs.get(run_id)
        records = self._ledger.steps(run_id)
        if not step:
            step = next((record.step for record in reversed(records) if record.is_leaf), records[-1].step)
        elif step not in {record.step for record in records}:
            raise ConfigError(
                f"This run has no step '{step}'.{did_you_mean(step, [record.step for record in records])}"
            )
        layout = self._layout(run, step, {record.step for record in records if record.kind == "global"})
        results = TableResults(self._ledger, run_id, step, layout.edges)
        if not run.is_portable:
            sources = [record.step for record in records if record.kind == "source"]
            given = {name for source in sources for name in Results(self._ledger, run_id, source, []).columns()}
            makers = {name: step for name in results.columns() if name not in given}
            layout = replace(layout, makers=makers)
        return Table(run, layout, results)

    def page(
        self,
        run_id: str,
        step: str = "",
        *,
        states: Sequence[str] = (),
        reason: str = "",
        search: str = "",
        sort: str = "",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
        longest: int | None = SHORTENED,
    ) -> dict[str, Any]:
        """Some rows of a table. Searching and sorting go by the model's values. Texts over `longest` are shortened.

        `settled` stands beside the states: rows without the model's answer that a person gave one.
        Raises: NotFound; ConfigError for an unknown step, state, reason, or a column that cannot be sorted by.
        """
        for state in states:
            if state not in (*CellState, SETTLED):
                raise ConfigError(f"There is no state '{state}'.{did_you_mean(state, [*CellState, SETTLED])}")
        if reason and reason not in list(Reason):
            raise ConfigError(f"There is no reason '{reason}'.{did_you_mean(reason, Reason)}")
        table = self.table(run_id, step)
        settled = self._settled_rows(table)
        query = TableQuery(states, reason, search, sort, descending, offset, limit, settled=settled)
        page = table.results.page(query)
        rows = list(self.merged(table, page.rows))
        return {
            "total": page.total,
            "step": table.layout.step,
            "columns": [column_of(table.layout, name, rows) for name in table.columns],
            "counts": settled.counts(self._counts(table)),
            "rows": [row_of(row, longest) | {"settled": is_settled(row, table.layout)} for row in rows],
        }

    def row(self, run_id: str, row: str, step: str = "") -> dict[str, Any]:
        """Everything about a row: each step's prompt, raw answer, values and cost, and what people said.

        Raises: NotFound.
        """
        table = self.table(run_id, step)
        trail = table.results.trail(row)
        if not trail:
            raise NotFound(f"There is no row '{row}' in this run.")
        steps: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        for cell in trail:
            values = _values_at(cell, row)
            new = {name: value for name, value in values.items() if before.get(name, MISSING) != value}
            before |= values
            steps.append(cell_of(cell, {name: value for name, value in new.items() if name != METADATA}))
        said = self._labels.of(run_id, table.layout.kin, _lineage(row))
        return {
            "row": row,
            "position": position(row),
            "steps": steps,
            "corrections": [label_of(label) for label in said],
        }

    def correct(
        self, run_id: str, row: str, column: str, value: Any, *, step: str = "", note: str = "", reviewer: str = ""
    ) -> dict[str, Any]:
        """Put a person's value in place of the model's, which stays beside it.

        Raises: NotFound; ConfigError for a column that cannot be corrected or a value that is none of its labels.
        """
        table, shown = self._row(run_id, row, column, step)
        _check_value(table.layout, column, value, shown.values.get(column))
        model = shown.original.get(column, shown.values.get(column))
        return self._say(table, shown, column, value, _label_state(value, model), note, reviewer)

    def confirm(self, run_id: str, row: str, column: str, *, step: str = "", reviewer: str = "") -> dict[str, Any]:
        """Say that the value is right as it stands. Raises: NotFound; ConfigError."""
        table, shown = self._row(run_id, row, column, step)
        if column not in shown.values or shown.values[column] is None:
            raise ConfigError(f"There is no value in '{column}' to confirm. Give one.")
        state = LabelState.CORRECTED if column in shown.original else LabelState.CONFIRMED
        return self._say(table, shown, column, shown.values[column], state, "", reviewer)

    def undo(self, run_id: str, row: str, column: str, *, step: str = "", reviewer: str = "") -> dict[str, Any]:
        """Put back what stood there before the last correction, as one more entry. Raises: NotFound; ConfigError."""
        table, shown = self._row(run_id, row, column, step)
        said = [
            label
            for label in self._labels.of(run_id, table.layout.kin, _lineage(row))
            if label.column == column and table.layout.reaches(column, label.step)
        ]
        if not said:
            raise ConfigError(f"Nobody corrected '{column}' in this row.")
        model = shown.original.get(column, shown.values.get(column))
        value = said[-1].was
        state = LabelState.LLM_ONLY if value == model else LabelState.CORRECTED
        return self._say(table, shown, column, value, state, "Undone.", reviewer)

    def merged(
        self, table: Table, results: Sequence[Result], labels: Mapping[str, list[LabelRecord]] | None = None
    ) -> Iterator[Row]:
        """Rows with what people said about them; `labels`, by row, saves looking them up again."""
        if labels is None:
            names = {name for result in results for name in _lineage(result.row)}
            labels = self.labels_by_row(table, sorted(names))
        for result in results:
            values = {name: value for name, value in result.values.items() if name != METADATA}
            row = Row(result.row, result.state, result.reason, result.message, values)
            said = [label for name in _lineage(result.row) for label in labels.get(name, ())]
            for label in sorted(said, key=lambda one: one.id):
                _apply(row, label, table.layout)
            yield row

    def labels_by_row(self, table: Table, rows: Sequence[str] | None = None) -> dict[str, list[LabelRecord]]:
        """What people said, by row."""
        found: dict[str, list[LabelRecord]] = {}
        for label in self._labels.of(table.run.id, table.layout.kin, rows):
            found.setdefault(label.row, []).append(label)
        return found

    def _row(self, run_id: str, row: str, column: str, step: str) -> tuple[Table, Row]:
        table = self.table(run_id, step)
        columns = table.columns
        if column not in columns:
            raise ConfigError(f"There is no column '{column}' here.{did_you_mean(column, columns)}")
        if not table.layout.may_edit(column):
            raise ConfigError(f"'{column}' came with the data and cannot be corrected here.")
        cell = next((cell for cell in table.results.trail(row) if cell["step"] == table.layout.step), None)
        if cell is None:
            raise NotFound(f"There is no row '{row}' in this run yet.")
        values = _values_at(cell, row)
        result = Result(row, cell["state"], values, cell["reason"], cell["message"])
        return table, next(self.merged(table, [result]))

    def _say(
        self, table: Table, row: Row, column: str, value: Any, state: LabelState, note: str, reviewer: str
    ) -> dict[str, Any]:
        if len(note) > LONGEST_NOTE:
            raise ConfigError(f"The note is longer than {LONGEST_NOTE:,} characters. Shorten it.")
        was = row.values.get(column)
        self._labels.add(
            table.run.id,
            table.layout.step,
            row.row,
            column,
            value=value,
            was=was,
            state=state,
            note=note.strip(),
            reviewer=reviewer[:200],
        )
        row.values[column] = value
        row.label_state[column] = state
        settled = is_settled(row, table.layout)
        answer = {"ok": True, "row": row.row, "column": column, "value": value, "was": was}
        return answer | {"label_state": str(state), "settled": settled}

    def _layout(self, run: Run, step: str, tables: set[str]) -> Layout:
        # A run's pipeline never changes, and building it for every page would be the dearest part of the page.
        key = (run.id, step)
        layout = self._layouts.get(key) or layout_of(run, step, tables)
        with self._lock:
            self._layouts[key] = layout
            if len(self._layouts) > LAYOUTS:
                self._layouts.pop(next(iter(self._layouts)))
        return layout

    def _settled_rows(self, table: Table) -> SettledRows:
        key, record = (table.run.id, table.layout.step), table.results.record
        moved = (record.ok, record.failed, record.needs_review, record.skipped, record.expired)
        stamp = (self._labels.last(table.run.id), *moved)
        known = self._settled.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        labels = self.labels_by_row(table)
        cells = table.results.cells_of(list(labels))
        results = (
            result for start in range(0, len(cells), AT_ONCE) for result in _open(table, cells[start:][:AT_ONCE])
        )
        names = set(cells)
        settled = SettledRows(
            {
                place_of(row.row, names): row.state
                for row in self.merged(table, list(results), labels)
                if is_settled(row, table.layout)
            }
        )
        with self._lock:
            self._settled[key] = (stamp, settled)
            if len(self._settled) > LAYOUTS:
                self._settled.pop(next(iter(self._settled)))
        return settled

    def _counts(self, table: Table) -> dict[str, int]:
        counts = {str(state): count for state, count in table.results.counts().items()}
        if table.results.record.fanned_out:
            for state in (CellState.OK, CellState.NEEDS_REVIEW):
                if counts.get(state):
                    counts[state] = table.results.page(Query(states=(state,), limit=0)).total
        return {"all": sum(counts.values()), **counts}


def _open(table: Table, cells: Sequence[str]) -> Iterator[Result]:
    """The rows of cells whose answers are missing or in doubt."""
    offset, total = 0, 1
    while offset < total:
        page = table.results.page(Query(states=OPEN, rows=cells, offset=offset, limit=LONGEST_PAGE))
        yield from page.rows
        offset, total = offset + LONGEST_PAGE, page.total


def _apply(row: Row, label: LabelRecord, layout: Layout) -> None:
    column = label.column
    if not layout.reaches(column, label.step):
        return
    model = row.original.get(column, row.values.get(column))
    row.values[column] = label.value
    row.original.pop(column, None)
    if label.value != model:
        row.original[column] = model
    row.label_state.pop(column, None)
    if label.state is not LabelState.LLM_ONLY:
        row.label_state[column] = label.state


def _label_state(value: Any, model: Any) -> LabelState:
    if value == LabelState.UNSURE:
        return LabelState.UNSURE
    if model is None:
        return LabelState.HUMAN_ONLY
    return LabelState.CONFIRMED if value == model else LabelState.CORRECTED


def _check_value(layout: Layout, column: str, value: Any, shown: Any) -> None:
    if len(orjson.dumps(value)) > LONGEST_VALUE:
        raise ConfigError(f"The value is longer than {LONGEST_VALUE:,} characters. Shorten it.")
    if isinstance(value, str) and isinstance(shown, str) and len(shown) > SHORTENED and value.endswith("…"):
        raise ConfigError("The table shows this text shortened. Open the row to correct the whole text.")
    choices = layout.choices.get(column)
    for item in value if isinstance(value, list) else [value]:
        if choices and item not in choices:
            hint = did_you_mean(str(item), choices)
            raise ConfigError(f"'{item}' is none of the labels: {', '.join(choices)}.{hint}")


def _values_at(cell: Mapping[str, Any], row: str) -> dict[str, Any]:
    """What a cell made of the row: of several rows that it made, the one that led here."""
    made = cell["output"] or []
    if len(made) <= 1:
        return dict(made[0]) if made else {}
    following = row[len(cell["row"]) :].strip(".").partition(".")[0]
    index = int(following) if following.isdigit() else 0
    return dict(made[index]) if index < len(made) else {}


def _lineage(row: str) -> list[str]:
    parts = row.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
