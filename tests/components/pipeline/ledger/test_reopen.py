"""Failed cells that are to be worked on again."""

import pytest

from components.pipeline.ledger import Ledger
from components.pipeline.ledger import ledger as ledger_module

ROWS = [f"{n:08d}" for n in range(70)]


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger.close()


def failed(ledger, rows):
    run_id = ledger.create_run({"name": "x", "state": "stopped", "spec": "{}"}, [step("ask")])
    cells = [
        {"run_id": run_id, "step": "ask", "row": row, "state": "failed", "key": "k", "output": None, "n_out": 0,
         "reason": "timeout", "message": "", "model": "", "prompt": None, "raw": None, "tokens_in": 0, "tokens_out": 0,
         "cost": 0.0, "cost_known": True, "seconds": 0.0, "attempts": 1, "is_reused": False, "is_rehearsal": False,
         "finished_at": 0.0}
        for row in rows
    ]  # fmt: skip
    ledger.submit_cells(cells).result()
    return run_id


def step(name):
    return {"step": name, "component": "Ask", "kind": "task"}


@pytest.mark.parametrize("many", [1, 10, 11, 64])
def test_any_number_of_rows_is_reopened_in_pages(ledger, monkeypatch, many):
    monkeypatch.setattr(ledger_module, "AT_ONCE", 10)
    run_id = failed(ledger, ROWS)
    # The same row twice, and one that is not there, change nothing.
    assert ledger.reopen(run_id, rows=[*ROWS[:many], ROWS[0], "99999999"]) == many
    assert sum(state == "pending" for state, _ in ledger.standing(run_id, "ask").values()) == many
    assert ledger.steps(run_id)[0].failed == len(ROWS) - many
    assert [event.message for event in ledger.events(run_id)][1:] == [f"{many} cells to be worked on again"]


def test_more_rows_than_a_statement_takes_values_are_reopened(ledger):
    run_id = failed(ledger, ROWS)
    names = [f"{n:08d}" for n in range(40_000)]
    assert ledger.reopen(run_id, rows=names) == len(ROWS)
