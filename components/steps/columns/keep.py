"""Keep some columns and drop the rest."""

from pydantic import Field

from components.component import Columns
from components.errors import MissingColumn, did_you_mean
from components.steps.step import Step
from components.steps.typing import StepColumns, StepInput, StepOutput


class KeepColumns(Step):
    """Keep these columns, in this order, and drop all others."""

    category = "Columns"

    columns: Columns = Field(min_length=1)
    """The columns to keep."""

    @property
    def inputs(self) -> StepColumns:
        return self.columns

    @property
    def outputs(self) -> StepColumns:
        return self.columns

    @property
    def keeps_columns(self) -> bool:
        return False

    def process(self, *inputs: StepInput) -> StepOutput:
        for rows in inputs:
            for row in rows:
                for name in self.columns:
                    if name not in row:
                        raise MissingColumn(
                            f"Step '{self.name}' cannot keep the column '{name}', as a row has none."
                            + did_you_mean(name, row)
                        )
            yield [{name: row[name] for name in self.columns} for row in rows]
