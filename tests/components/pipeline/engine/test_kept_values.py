"""What later steps see of a row is the same in the sitting that made it and in every later one."""

import dataclasses
import uuid
from datetime import date, datetime
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from components.errors import ConfigError
from components.pipeline.engine.outcome import Outcome, as_cell, is_plain
from components.states import RunState
from components.steps.step import GeneratorStep, GlobalStep, Step
from tests.fakes import Numbers


class Color(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int


class Word(str):
    __slots__ = ()


ODD = {
    "time": (datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
    "day": (date(2026, 1, 2), "2026-01-02"),
    "tuple": ((1, (2, 3)), [1, [2, 3]]),
    "set": ({"b", "a"}, ["a", "b"]),
    "path": (Path("a/b"), "a/b"),
    "number": (np.float64(1.5), 1.5),
    "vector": (np.array([1, 2]), [1, 2]),
    "nothing": (float("nan"), None),
    "inside": ([1.0, {"deep": (float("inf"),)}], [1.0, {"deep": [None]}]),
    "keys": ({1: "one"}, {"1": "one"}),
    "id": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "color": (Color.RED, "red"),
    "point": (Point(1), {"x": 1}),
    "word": (Word("x"), "x"),
}
PLAIN = {
    "text": "a",
    "whole": 1,
    "real": 0.5,
    "flag": True,
    "none": None,
    "list": [1, 0.5, ["a", {}]],
    "dict": {"a": []},
}


def exact(value):
    """A value with the types of all its parts."""
    if isinstance(value, dict):
        return {(type(key), key): exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return type(value), value


def sees(bench, value, made_by):
    """What a step sees of a value in the first sitting, and what it sees in the next one."""
    seen = []

    class Makes(made_by):
        def process(self, *inputs, offset=0):
            rows = [{"v": value}]
            yield (rows, True) if made_by is GeneratorStep else rows

    class Looks(Step):
        def process(self, inputs):
            seen.append(inputs[0]["v"])
            if len(seen) == 1:
                raise ValueError("not yet")
            yield inputs

    first = [] if made_by is GeneratorStep else [Numbers(name="rows", count=1)]
    steps = [*first, Makes(name="makes"), Looks(name="looks")]
    run_id, state = bench.run(*steps)
    assert state is RunState.DONE_WITH_FAILURES
    assert bench.ledger.reopen(run_id) == 1
    assert bench.again(run_id, *steps) is RunState.DONE
    return seen


@pytest.mark.parametrize("made_by", [GeneratorStep, Step, GlobalStep])
def test_a_value_of_any_kind_is_the_same_before_and_after_a_pause(bench, made_by):
    first, later = sees(bench, {name: value for name, (value, _) in ODD.items()}, made_by)
    assert exact(first) == exact(later) == exact({name: kept for name, (_, kept) in ODD.items()})


@pytest.mark.parametrize("value", [value for value, _ in ODD.values()], ids=list(ODD))
def test_what_json_would_change_is_not_plain(value):
    assert not is_plain([{"v": value}])


def test_plain_rows_are_handed_on_as_they_are():
    outcome = Outcome(rows=[PLAIN])
    as_cell("r", "step", "00000000", "", outcome)
    assert outcome.rows[0] is PLAIN


@pytest.mark.parametrize("made_by", [GeneratorStep, GlobalStep])
def test_a_value_that_cannot_be_kept_is_named_with_its_row_and_column(bench, made_by):
    class Makes(made_by):
        def process(self, *inputs, offset=0):
            rows = [{"v": 1}, {"v": 2, "odd": object()}]
            yield (rows, True) if made_by is GeneratorStep else rows

    first = [] if made_by is GeneratorStep else [Numbers(name="rows", count=1)]
    with pytest.raises(ConfigError, match="Row 2 of step 'makes' cannot be kept: its column 'odd' holds a object"):
        bench.run(*first, Makes(name="makes"))


def test_a_row_that_cannot_be_kept_fails_alone_and_is_named(bench):
    class Makes(Step):
        def process(self, inputs):
            yield [{"n": inputs[0]["n"], "odd": object() if inputs[0]["n"] == 1 else 0}]

    run_id, state = bench.run(Numbers(name="rows", count=3), Makes(name="makes"))
    assert state is RunState.DONE_WITH_FAILURES
    results = bench.results(run_id)
    assert [result.state for result in results] == ["ok", "failed", "ok"]
    assert results[1].message.startswith("Row 2 of step 'makes' cannot be kept: its column 'odd' holds a object")
