"""The shapes that flow between steps."""

from collections.abc import Iterator
from typing import Annotated, Any

Row = dict[str, Any]
StepInput = Annotated[list[Row], "step_input"]
"""The rows a step receives: annotate the parameters of `process` with it."""
StepOutput = Iterator[list[Row]]
GeneratorStepOutput = Iterator[tuple[list[Row], bool]]
"""Rows, and whether they are the last."""
StepColumns = list[str] | dict[str, bool]
"""Column names; as a dict, False marks a column the step can do without."""
