"""Rows written in the pipeline itself."""

from typing import Any

from components.steps.load.batches import in_batches
from components.steps.step import GeneratorStep
from components.steps.typing import GeneratorStepOutput, StepColumns


class LoadDataFromDicts(GeneratorStep):
    """Start from rows that are written in the pipeline."""

    data: list[dict[str, Any]]
    """The rows, each a dict of column names and values; a column that a row leaves out is empty there."""

    @property
    def outputs(self) -> StepColumns:
        return list(dict.fromkeys(name for row in self.data for name in row))

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        empty = dict.fromkeys(self.outputs)
        yield from in_batches(({**empty, **row} for row in self.data[offset:]), self.batch_size)
