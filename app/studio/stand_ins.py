"""Stand-ins for the rows that a run will have at each step, to see how long its prompts will be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from app.studio.measures import Range
from components.steps.columns import CombineOutputs, ExpandColumns, GroupColumns, KeepColumns, MergeColumns
from components.steps.load import LoadDataFromDicts, LoadDataFromDisk, LoadDataFromFileSystem
from components.steps.step import AnyStep, GeneratorStep, Step
from components.steps.tasks.task import Task

# These read only this machine, and only what the pipeline names.
AT_HAND = (LoadDataFromDicts, LoadDataFromFileSystem, LoadDataFromDisk)
PURE = (CombineOutputs, ExpandColumns, GroupColumns, KeepColumns, MergeColumns)
ROWS = 20
SIGNS_PER_TOKEN = 4
SHORT, LONG = "x" * 20, "x" * 800
LEAST_OF_LONGEST = 0.05
"""The share of its longest answer that a model is taken to write at least."""
COUNTED_TOO_HIGH = 0.6
"""Prompts are counted on the safe side; most tokenizers make this much of it."""

Rows = list[dict[str, Any]]


@dataclass
class Sample:
    """Rows as they may reach the next step, with short and with long stand-ins for what is not known yet."""

    short: Rows = field(default_factory=list)
    long: Rows = field(default_factory=list)

    @classmethod
    def together(cls, samples: Sequence[Self]) -> "Sample":
        """Rows of several branches side by side."""
        return Sample(_side_by_side([one.short for one in samples]), _side_by_side([one.long for one in samples]))

    @staticmethod
    def tokens(step: Task, samples: Sequence["Sample"]) -> tuple[Range, Range] | None:
        """Tokens read and written for each row; None when no prompt can be made."""
        sample = Sample.together(samples)
        low, high = _most(step, sample.short), _most(step, sample.long)
        if low is None or high is None:
            return None
        calls = step.num_generations or 1
        read = Range(low[0] * COUNTED_TOO_HIGH, high[0])
        return read, Range(min(high[1], max(calls, high[1] * LEAST_OF_LONGEST)), high[1])


def of_source(step: GeneratorStep) -> Sample:
    """The first rows of a source that is at hand."""
    if not isinstance(step, AT_HAND):
        return Sample()
    rows = list(islice((row for batch in step.batches() for row in batch), ROWS))
    return Sample(rows, rows)


def after(step: AnyStep, samples: Sequence[Sample], written: Range | None, calls: int | None) -> Sample:
    """The rows that come out of a step; `written` are all tokens that it writes in `calls` calls."""
    if isinstance(step, PURE):
        made = _applied(step, samples)
        if made is not None:
            return made
    sample = Sample.together(samples)
    short, long = SHORT, LONG
    if written is not None and calls:
        short = "x" * max(1, int(written.low / calls * SIGNS_PER_TOKEN))
        long = "x" * max(1, int(written.high / calls * SIGNS_PER_TOKEN))
    try:
        names = [name for name in step.get_outputs() if name != "model_name"]
    except Exception:
        # A step of somebody's own may fail in any way when asked for its columns.
        names = []
    return Sample(
        [{**row, **dict.fromkeys(names, short)} for row in sample.short],
        [{**row, **dict.fromkeys(names, long)} for row in sample.long],
    )


def _applied(step: Step, samples: Sequence[Sample]) -> Sample | None:
    def each(rows: Callable[[Sample], Rows]) -> Rows:
        count = min((len(rows(one)) for one in samples), default=0)
        return [made for at in range(count) for made in step.apply(*([rows(one)[at]] for one in samples))]

    try:
        return Sample(each(lambda one: one.short), each(lambda one: one.long))
    except Exception:
        # Stand-ins are texts where a step may want a list; it is then taken to pass rows on.
        return None


def _most(step: Task, rows: Rows) -> tuple[float, float] | None:
    """Mean tokens read and the most written for each row, with all of its calls."""
    counted = []
    for row in rows:
        if step.missing_inputs(row):
            continue
        try:
            prompt = step.prompt(row)
            counted.append(step.llm.most_tokens(prompt, step.num_generations or 1, step.llm.get_generation_kwargs()))
        except Exception:
            # A task of somebody's own may want more of its columns than a stand-in offers.
            return None
    if not counted:
        return None
    return sum(read for read, _ in counted) / len(counted), max(written for _, written in counted)


def _side_by_side(branches: Sequence[Rows]) -> Rows:
    if not branches:
        return []
    merged = []
    for at in range(min(len(rows) for rows in branches)):
        row: dict[str, Any] = {}
        for rows in branches:
            row |= rows[at]
        merged.append(row)
    return merged
