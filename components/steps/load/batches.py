"""Rows handed on a list at a time."""

from collections.abc import Iterable
from itertools import islice

from components.steps.typing import GeneratorStepOutput, Row


def in_batches(rows: Iterable[Row], size: int | None) -> GeneratorStepOutput:
    """Lists of up to `size` rows, the last one marked; no rows are one empty list."""
    left = iter(rows)
    batch = list(islice(left, size or 50))
    while True:
        following = list(islice(left, size or 50))
        yield batch, not following
        if not following:
            return
        batch = following
