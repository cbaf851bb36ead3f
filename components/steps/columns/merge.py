"""Put several columns of a row into one list."""

from typing import Any

from pydantic import Field

from components.component import Columns
from components.errors import MissingColumn, did_you_mean
from components.steps.step import Step
from components.steps.typing import Row, StepColumns, StepInput, StepOutput


class MergeColumns(Step):
    """Put several columns of a row into one list; lists are joined, and all other columns stay."""

    category = "Columns"

    columns: Columns = Field(min_length=1)
    """The columns to merge, in this order."""
    output_column: str = Field("merged_column", min_length=1)
    """What the list is called."""

    @property
    def inputs(self) -> StepColumns:
        return self.columns

    @property
    def outputs(self) -> StepColumns:
        return [self.output_column]

    @property
    def removes(self) -> list[str]:
        return self.columns

    def process(self, inputs: StepInput) -> StepOutput:
        yield [self._merged(row) for row in inputs]

    def _merged(self, row: Row) -> Row:
        values: list[Any] = []
        for name in self.columns:
            if name not in row:
                raise MissingColumn(
                    f"Step '{self.name}' cannot merge the column '{name}', as a row has none." + did_you_mean(name, row)
                )
            values.extend(row[name] if isinstance(row[name], list) else [row[name]])
        return {**{name: value for name, value in row.items() if name not in self.columns}, self.output_column: values}
