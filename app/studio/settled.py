"""Rows whose answer a person gave where the model did not: they show as settled, and their cells stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Select, String, and_, cast, func, not_, or_, select

from app.studio.layout import Layout
from app.studio.table_rows import Row
from components.pipeline.ledger.cells import CELL
from components.pipeline.ledger.results import Query, Results
from components.states import CellState, LabelState

SETTLED = "settled"
"""What shows in place of the state that a cell keeps."""
OPEN = (CellState.FAILED, CellState.NEEDS_REVIEW, CellState.EXPIRED)
VOUCHED = frozenset({LabelState.CONFIRMED, LabelState.CORRECTED, LabelState.HUMAN_ONLY})
Place = tuple[str, int]
"""The cell of a row, and which of the rows that it made."""


@dataclass(frozen=True)
class SettledRows:
    """The settled rows of a table."""

    states: Mapping[Place, str] = field(default_factory=dict)
    """The state that each cell keeps."""

    def counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        """How many rows are in each state, with the settled ones by themselves; the sum stays."""
        found = dict(counts)
        for state in self.states.values():
            found[state] -= 1
        return found | ({SETTLED: len(self.states)} if self.states else {})


@dataclass(frozen=True)
class TableQuery(Query):
    """Rows by the state that shows; `settled` may be among the states."""

    settled: SettledRows = field(default_factory=SettledRows)


class TableResults(Results):
    """The table of a step, where settled rows can be asked for and are left out of the states of their cells."""

    def cells_of(self, rows: list[str]) -> list[str]:
        """Which of these rows, or of those that they were made of, are cells that are open."""
        names = sorted({name for row in rows for name in (row, row.rpartition(".")[0]) if name})
        query = select(CELL.c.row).where(
            CELL.c.run_id == self.run_id,
            CELL.c.step == self.step,
            CELL.c.state.in_(OPEN),
            CELL.c.row.in_(_listed(names)),
        )
        with self._ledger.database.read() as connection:
            return list(connection.execute(query).scalars())

    def _select(self, query: Query, flat: Any) -> Select[Any]:
        if not isinstance(query, TableQuery) or not query.states:
            return super()._select(query, flat)
        position = "0" if flat is None else cast(func.coalesce(flat.c.key, 0), String)
        place = CELL.c.row.concat(":").concat(position)
        settled = place.in_(_listed([f"{row}:{index}" for row, index in query.settled.states]))
        shown = and_(CELL.c.state.in_([state for state in query.states if state != SETTLED]), not_(settled))
        wanted = or_(shown, settled) if SETTLED in query.states else shown
        return super()._select(replace(query, states=()), flat).where(wanted)


def place_of(row: str, cells: set[str]) -> Place:
    """Where a row of a table comes from."""
    if row in cells:
        return row, 0
    cell, _, index = row.rpartition(".")
    return cell, int(index)


def is_settled(row: Row, layout: Layout) -> bool:
    """Whether a person vouched for an answer of the row, and no other is missing."""
    if row.state not in OPEN:
        return False
    # Only the script knows the columns of a step of its own: then those count that somebody looked at.
    own = [name for name in layout.own if layout.may_edit(name)] or list(row.label_state)
    vouched = {name for name in own if row.label_state.get(name) in VOUCHED}
    return bool(vouched) and all(name in vouched or row.values.get(name) is not None for name in own)


def _listed(names: list[str]) -> Any:
    # One list for any number of names: a statement takes only so many values by themselves.
    return select(func.json_each(orjson.dumps(names).decode()).table_valued("value").c.value)
