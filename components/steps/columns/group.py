"""Gather a column of several branches into a list."""

from typing import Self

from pydantic import Field, model_validator

from components.component import Columns
from components.errors import MissingColumn, did_you_mean
from components.steps.columns.side_by_side import merged_metadata, side_by_side
from components.steps.step import METADATA, Step
from components.steps.typing import Row, StepColumns, StepInput, StepOutput


class GroupColumns(Step):
    """Gather the same column of several branches into one list, such as answers of several models."""

    category = "Columns"

    columns: Columns = Field(min_length=1)
    """The columns to gather, each into a list with one value for each branch."""
    output_columns: Columns | None = None
    """What the lists are called, in the order of the columns; left empty, `grouped_` and the column's name."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.output_columns is not None and len(self.output_columns) != len(self.columns):
            raise ValueError(
                f"output_columns has {len(self.output_columns)} names for {len(self.columns)} columns; give one each"
            )
        return self

    @property
    def inputs(self) -> StepColumns:
        return self.columns

    @property
    def outputs(self) -> StepColumns:
        return self.output_columns or [f"grouped_{name}" for name in self.columns]

    @property
    def removes(self) -> list[str]:
        return self.columns

    def process(self, *inputs: StepInput) -> StepOutput:
        yield [self._gathered(rows) for rows in side_by_side(self, inputs)]

    def _gathered(self, rows: tuple[Row, ...]) -> Row:
        made: Row = {name: value for row in rows for name, value in row.items() if name not in self.columns}
        for name, output in zip(self.columns, self.outputs, strict=True):
            for row in rows:
                if name not in row:
                    raise MissingColumn(
                        f"Step '{self.name}' cannot gather the column '{name}', as a row has none."
                        + did_you_mean(name, row)
                    )
            made[output] = [row[name] for row in rows]
        metadata = merged_metadata(rows)
        return {**made, METADATA: metadata} if metadata else made
