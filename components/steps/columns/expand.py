"""Make one row for each item of a list."""

import json
from itertools import zip_longest
from typing import Annotated, Any

from pydantic import Field

from components.component import Columns, Hint
from components.errors import ConfigError, MissingColumn, did_you_mean
from components.steps.step import METADATA, Step
from components.steps.typing import Row, StepColumns, StepInput, StepOutput


class ExpandColumns(Step):
    """Make one row for each item of a list; several lists are taken side by side, a shorter one ends in empty cells."""

    category = "Columns"

    columns: Annotated[list[str] | dict[str, str], Hint("ui", "columns")] = Field(min_length=1)
    """The columns that hold lists; as a dict, with the name that the items' column gets."""
    encoded: bool | Columns = False
    """The lists are written as JSON text: all of them, or only those of these columns."""
    split_statistics: bool = False
    """Share the token counts of the row out among its new rows, so that their sum stays right."""

    @property
    def inputs(self) -> StepColumns:
        return list(self._names())

    @property
    def outputs(self) -> StepColumns:
        return list(self._names().values())

    @property
    def removes(self) -> list[str]:
        names = self._names()
        return [name for name in names if name not in names.values()]

    def process(self, inputs: StepInput) -> StepOutput:
        yield [made for row in inputs for made in self._expanded(row)]

    def _names(self) -> dict[str, str]:
        return self.columns if isinstance(self.columns, dict) else {name: name for name in self.columns}

    def _expanded(self, row: Row) -> list[Row]:
        names = self._names()
        others = {name: value for name, value in row.items() if name not in names}
        items = list(zip_longest(*(self._items(row, name) for name in names)))
        rows = [{**others, **dict(zip(names.values(), values, strict=True))} for values in items]
        if self.split_statistics and isinstance(others.get(METADATA), dict):
            for index, made in enumerate(rows):
                made[METADATA] = {
                    key: _share(value, index, len(rows)) if key.startswith("statistics_") else value
                    for key, value in others[METADATA].items()
                }
        return rows

    def _items(self, row: Row, name: str) -> list[Any]:
        if name not in row:
            raise MissingColumn(
                f"Step '{self.name}' cannot expand the column '{name}', as a row has none." + did_you_mean(name, row)
            )
        value = row[name]
        if isinstance(value, str) and (self.encoded is True or (self.encoded and name in self.encoded)):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ConfigError(f"Step '{self.name}': the column '{name}' holds no JSON: {error}.") from error
        if value is None:
            return []
        if not isinstance(value, (list, tuple)):
            raise ConfigError(
                f"Step '{self.name}': the column '{name}' holds {type(value).__name__} where a list is needed."
                + (" If it is a list written as text, set encoded." if isinstance(value, str) else "")
            )
        return list(value)


def _share(count: Any, index: int, shares: int) -> Any:
    if isinstance(count, dict):
        return {key: _share(value, index, shares) for key, value in count.items()}
    if isinstance(count, list):
        return [_share(value, index, shares) for value in count]
    if isinstance(count, float):
        return count / shares
    if isinstance(count, int) and not isinstance(count, bool):
        return count // shares + (index < count % shares)
    return count
