"""Rows written in the pipeline itself."""

from typing import Any

import orjson
from pydantic import field_validator

from components.steps.load.batches import in_batches
from components.steps.step import GeneratorStep
from components.steps.typing import GeneratorStepOutput, Row, StepColumns

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


class LoadDataFromDicts(GeneratorStep):
    """Start from rows that are written in the pipeline."""

    data: list[dict[str, Any]]
    """The rows, each a dict of column names and values; a column that a row leaves out is empty there."""

    @field_validator("data")
    @classmethod
    def _can_be_kept(cls, data: list[Row]) -> list[Row]:
        for number, row in enumerate(data, start=1):
            if _trouble_with(row):
                column, reason = next((name, why) for name in row if (why := _trouble_with({name: row[name]})))
                raise ValueError(f"row {number} cannot be kept, as its column {column!r} holds {reason}")
        return data

    @property
    def outputs(self) -> StepColumns:
        return list(dict.fromkeys(name for row in self.data for name in row))

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        empty = dict.fromkeys(self.outputs)
        yield from in_batches(({**empty, **row} for row in self.data[offset:]), self.batch_size)


def _trouble_with(row: Row) -> str:
    try:
        # Objects of other kinds are told apart by the run, which turns some of them into text.
        orjson.dumps(row, default=lambda value: None, option=OPTIONS)
    except TypeError as error:
        said = str(error)
        if "surrogates" in said:
            return "half of a character (a lone surrogate); take it out"
        return "a number beyond 64 bits; write it as text" if "64-bit" in said else "something too deep or unknown"
    return ""
