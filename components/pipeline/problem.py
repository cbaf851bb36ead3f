"""One thing that is wrong with a pipeline, and where."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

from components.errors import ConfigError, StillroomError


@dataclasses.dataclass(frozen=True)
class Problem:
    """A sentence, with the step and the field it is about; both are empty where it is the whole pipeline."""

    step: str
    field: str
    message: str
    severity: Literal["error", "warning"] = "error"
    error: type[StillroomError] = dataclasses.field(default=ConfigError, compare=False, repr=False)


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raises: ConfigError, or a subclass, with every problem that keeps the pipeline from running."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise errors[0].error("\n".join(dict.fromkeys(problem.message for problem in errors)))
