"""What a terminal says while a run goes on."""

import pytest

from app.cli.screen import Screen
from app.cli.watching import Lines


@pytest.fixture
def screen():
    return Screen()


def progress(total):
    outcomes = {"ok": 32, "failed": 0, "needs_review": 0, "skipped": 0, "expired": 0, "cost": 0.0, "cost_known": True}
    step = {"name": "label", "kind": "task", "total": total, **outcomes}
    return {"steps": [{**step, "name": "load", "kind": "source", "state": "running"}, step]}


def test_a_line_tells_no_total_while_rows_are_still_being_loaded(screen, capsys):
    lines = Lines(screen)
    lines.show(progress(None))
    lines.show(progress(300))
    assert capsys.readouterr().err.splitlines() == ["label: 32 rows", "label: 32 of 300 rows"]
