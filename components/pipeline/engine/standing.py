"""What a step has done already, in this run or in an earlier one with the same inputs."""

from collections import OrderedDict

from components.pipeline.ledger import Ledger
from components.pipeline.ledger.ledger import PAGE
from components.steps.typing import Row

PAGES_KEPT = 8


class Standing:
    """The committed cells of one step of a run: states by row, outputs read a page at a time."""

    def __init__(self, ledger: Ledger, run_id: str, step: str) -> None:
        self._ledger, self._run_id, self._step = ledger, run_id, step
        self.cells = ledger.standing(run_id, step)
        self._pages: OrderedDict[str, dict[str, list[Row]]] = OrderedDict()

    def output(self, row: str) -> list[Row]:
        """The rows that a committed cell made."""
        for page in self._pages.values():
            if row in page:
                return page[row]
        found = self._ledger.outputs(self._run_id, self._step, after=_just_before(row), limit=PAGE)
        self._pages[row] = {name: rows for name, _, rows in found}
        if len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        return self._pages[row].get(row, [])


def _just_before(row: str) -> str:
    return row[:-1] + chr(ord(row[-1]) - 1) + "~"
