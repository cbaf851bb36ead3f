"""The rows of a run as a person reads them: every row that went in, with what came of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import RowMapping, Select, Text, and_, cast, func, or_, select, text

from components.errors import ConfigError
from components.pipeline.ledger.cells import CELL
from components.pipeline.ledger.ledger import PAGE, Ledger
from components.pipeline.ledger.names import child
from components.pipeline.ledger.tables import StepRun
from components.states import CellState
from components.steps.typing import Row

SHOWN = ("row", "state", "reason", "message", "model", "cost", "cost_known", "attempts", "is_rehearsal", "is_reused")
LONGEST_PAGE = 1000
FINISHED = (CellState.OK, CellState.NEEDS_REVIEW)
# A row that a step left out on purpose is in no table of results; one that failed is.
NOT_DROPPED = or_(CELL.c.n_out > 0, CELL.c.output.is_(None))


@dataclass
class Result:
    """One row of a table of results."""

    row: str
    state: str
    values: Row
    reason: str = ""
    message: str = ""
    model: str = ""
    cost: float = 0.0
    cost_known: bool = True
    attempts: int = 0
    is_rehearsal: bool = False
    is_reused: bool = False


@dataclass
class Page:
    """Some rows of a table, and how many there are."""

    total: int
    rows: list[Result]


@dataclass(frozen=True)
class Query:
    """Which rows of a table, in which order."""

    states: Sequence[str] = ()
    reason: str = ""
    search: str = ""
    sort: str = ""
    descending: bool = False
    offset: int = 0
    limit: int = 100
    rows: Sequence[str] = field(default=())


class Results:
    """The table of one step of a run; a leaf's table is the run's result."""

    def __init__(self, ledger: Ledger, run_id: str, step: str, edges: Sequence[tuple[str, str]]) -> None:
        self._ledger, self.run_id, self.step = ledger, run_id, step
        self._before: dict[str, list[str]] = {}
        for upstream, downstream in edges:
            self._before.setdefault(downstream, []).append(upstream)
        records = ledger.steps(run_id)
        self.record: StepRun = next(record for record in records if record.step == step)
        # A step that needs all rows names its own anew, so a row's name says nothing of the rows before it.
        self._tables = {record.step for record in records if record.kind == "global"}
        # Looked at only where it can matter: it costs a look into every cell, where the rest is in an index.
        self._where = (CELL.c.run_id == run_id, CELL.c.step == step, *([NOT_DROPPED] if self.record.fanned_out else []))

    def columns(self) -> list[str]:
        """Every column of the finished rows, in the order in which they first show."""
        names: dict[str, None] = {}
        rows = self._found(self._selected(Query()), limit=50, offset=0)
        if rows and not any(row.state in FINISHED for row in rows):
            # Rows that failed lack the columns that others have.
            rows += self._found(self._selected(Query(states=(CellState.OK,))), limit=50, offset=0)
        for result in rows:
            names.update(dict.fromkeys(result.values))
        return list(names)

    def counts(self) -> dict[str, int]:
        """How many rows are in each state."""
        query = select(CELL.c.state, func.count()).where(*self._where).group_by(CELL.c.state)
        with self._ledger.database.read() as connection:
            return {row.state: row[1] for row in connection.execute(query)}

    def page(self, query: Query) -> Page:
        """A page of rows. Raises: ConfigError for a column that cannot be sorted by."""
        base = self._selected(query)
        counted = select(func.count()).select_from(base.order_by(None).subquery())
        with self._ledger.database.read() as connection:
            total: int = connection.execute(counted).scalar_one()
        limit = max(0, min(query.limit, LONGEST_PAGE))
        return Page(total, self._found(base, limit=limit, offset=max(0, query.offset)))

    def all(self, states: Sequence[str] = ()) -> Iterator[Result]:
        """Every row in order, read a page at a time."""
        after = ""
        names = [CELL.c[name] for name in (*SHOWN, "output")]
        while True:
            query = select(*names).where(CELL.c.run_id == self.run_id, CELL.c.step == self.step, CELL.c.row > after)
            if states:
                query = query.where(CELL.c.state.in_(states))
            with self._ledger.database.read() as connection:
                found = connection.execute(query.order_by(CELL.c.row).limit(PAGE)).mappings().all()
            for record in found:
                yield from self._results(record)
            if len(found) < PAGE:
                return
            after = found[-1]["row"]

    def trail(self, row: str) -> list[dict[str, Any]]:
        """Every cell on the way to a row, first step first, with prompt, raw answer and cost."""
        order = {record.step: record.position for record in self._ledger.steps(self.run_id)}
        names = _lineage(row)
        steps = sorted(self._ancestors())
        query = select(CELL).where(CELL.c.run_id == self.run_id, CELL.c.step.in_(steps), CELL.c.row.in_(names))
        with self._ledger.database.read() as connection:
            cells = [dict(cell) for cell in connection.execute(query).mappings()]
        for cell in cells:
            for name in ("output", "prompt", "raw"):
                cell[name] = orjson.loads(cell[name]) if cell[name] else None
        return sorted(cells, key=lambda cell: (order[cell["step"]], len(cell["row"])))

    def _ancestors(self) -> set[str]:
        found, waiting = {self.step}, [self.step]
        while waiting:
            step = waiting.pop()
            for before in self._before.get(step, []) if step not in self._tables else ():
                if before not in found:
                    found.add(before)
                    waiting.append(before)
        return found

    def _selected(self, query: Query) -> Select[Any]:
        return self._select(query, self._flat() if self.record.fanned_out else None)

    def _found(self, base: Select[Any], *, limit: int, offset: int) -> list[Result]:
        with self._ledger.database.read() as connection:
            records = connection.execute(base.limit(limit).offset(offset)).mappings().all()
        return [self._result(record) for record in records]

    def _select(self, query: Query, flat: Any) -> Select[Any]:
        columns = [CELL.c[name] for name in (*SHOWN, "n_out")]
        if flat is None:
            output = cast(CELL.c.output, Text)
            base = select(*columns, CELL.c.output)
            made, position = func.json_extract(output, "$[0]"), None
        else:
            output = made = flat.c.value
            position = flat.c.key
            base = select(*columns, flat.c.value.label("made"), flat.c.key.label("position")).select_from(
                CELL.outerjoin(flat, text("1"))
            )
        base = base.where(*self._where)
        if query.states:
            base = base.where(CELL.c.state.in_(list(query.states)))
        if query.reason:
            base = base.where(CELL.c.reason == query.reason)
        if query.rows:
            base = base.where(CELL.c.row.in_(list(query.rows)))
        if query.search:
            # Quotes and line ends are written otherwise in JSON.
            within = json.dumps(query.search, ensure_ascii=False)[1:-1]
            found = [item.icontains(within, autoescape=True) for item in (output, cast(CELL.c.prompt, Text))]
            base = base.where(or_(*found, CELL.c.message.icontains(query.search, autoescape=True)))
        order = [CELL.c.row] if position is None else [CELL.c.row, position]
        if query.sort:
            value = self._sort_value(query.sort, made)
            order = [value.desc() if query.descending else value.asc(), *order]
        elif query.descending:
            order = [item.desc() for item in order]
        return base.order_by(*order)

    def _sort_value(self, name: str, made: Any) -> Any:
        if name in ("state", "reason", "model", "cost", "attempts"):
            return CELL.c[name]
        if '"' in name or "\\" in name:
            raise ConfigError(f"The table cannot be sorted by '{name}' because of the quotes in its name.")
        return func.json_extract(made, f'$."{name}"')

    def _flat(self) -> Any:
        return func.json_each(cast(CELL.c.output, Text)).table_valued("key", "value")

    def _results(self, record: RowMapping) -> Iterator[Result]:
        rows = orjson.loads(record["output"]) if record["output"] else []
        shown = {name: record[name] for name in SHOWN}
        if record["state"] in FINISHED:
            for index, values in enumerate(rows):
                name = child(record["row"], index, len(rows))
                yield Result(**shown | {"row": name, "values": values})
        else:
            yield Result(**shown, values=self.known_values(record["row"]))

    def _result(self, record: RowMapping) -> Result:
        shown = {name: record[name] for name in SHOWN}
        if "made" in record:
            if record["made"] is None:
                return Result(**shown, values=self.known_values(record["row"]))
            name = child(record["row"], int(record["position"]), record["n_out"])
            return Result(**shown | {"row": name, "values": orjson.loads(record["made"])})
        rows = orjson.loads(record["output"]) if record["output"] else []
        return Result(**shown, values=rows[0] if rows else self.known_values(record["row"]))

    def known_values(self, row: str) -> Row:
        """What is known of a row that has no result at this step: what the steps before made of it."""
        values: Row = {}
        for before in self._before.get(self.step, []):
            values.update(self._nearest(before, row))
        return values

    def _nearest(self, step: str, row: str) -> Row:
        names = _lineage(row)
        where = and_(
            CELL.c.run_id == self.run_id, CELL.c.step == step, CELL.c.row.in_(names), CELL.c.output.is_not(None)
        )
        with self._ledger.database.read() as connection:
            query = select(CELL.c.row, CELL.c.output).where(where).order_by(CELL.c.row.desc()).limit(1)
            found = connection.execute(query).first()
        if found is not None:
            rows = orjson.loads(found[1])
            if len(rows) == 1:
                return dict(rows[0])
            rest = row[len(found[0]) :].strip(".").partition(".")[0]
            if rest and int(rest) < len(rows):
                return dict(rows[int(rest)])
        values: Row = {}
        for before in self._before.get(step, []) if step not in self._tables else ():
            values.update(self._nearest(before, row))
        return values


def _lineage(row: str) -> list[str]:
    parts = row.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
