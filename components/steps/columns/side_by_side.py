"""The rows of several branches, matched one to one."""

from collections.abc import Iterator, Sequence
from typing import Any

from components.errors import ConfigError
from components.steps.step import METADATA, AnyStep
from components.steps.typing import Row


def side_by_side(step: AnyStep, inputs: Sequence[list[Row]]) -> Iterator[tuple[Row, ...]]:
    """The first rows of all branches, then the second ones, and so on.

    Raises: ConfigError when a branch has more rows than another, as then nobody knows which belong together.
    """
    counts = [len(rows) for rows in inputs]
    if len(set(counts)) > 1:
        raise ConfigError(
            f"Step '{step.name}' cannot match the rows of the branches before it: they have "
            f"{', '.join(map(str, counts))} rows. Each branch must give one row for every row."
        )
    return zip(*inputs, strict=True)


def merged_metadata(rows: Sequence[Row]) -> dict[str, Any]:
    """What happened on the way to any of the rows."""
    return {key: value for row in rows for key, value in (row.get(METADATA) or {}).items()}
