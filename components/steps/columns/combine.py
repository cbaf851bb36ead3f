"""Bring the rows of several branches together again."""

from components.steps.columns.side_by_side import merged_metadata, side_by_side
from components.steps.step import METADATA, Step
from components.steps.typing import Row, StepInput, StepOutput


class CombineOutputs(Step):
    """Put the columns of several branches into one row; where two have the same column, the later branch wins."""

    category = "Columns"

    def process(self, *inputs: StepInput) -> StepOutput:
        combined: list[Row] = []
        for rows in side_by_side(self, inputs):
            row: Row = {}
            for branch in rows:
                row.update(branch)
            metadata = merged_metadata(rows)
            combined.append({**row, METADATA: metadata} if metadata else row)
        yield combined
