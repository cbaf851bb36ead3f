"""Rows from data that is in memory already."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic import Field

from components.errors import ConfigError
from components.steps.load.batches import in_batches
from components.steps.load.dicts import LoadDataFromDicts
from components.steps.step import GeneratorStep, StepResources
from components.steps.typing import GeneratorStepOutput, Row, StepColumns


class LoadDataFromDataset(GeneratorStep):
    """Start from a dataset that is open already."""

    dataset: Any = Field(exclude=True)
    """A `datasets.Dataset`; a saved pipeline does not hold it, so it has to be given again."""

    @property
    def outputs(self) -> StepColumns:
        return list(self.dataset.column_names)

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        yield from in_batches(dataset_rows(self.dataset, offset), self.batch_size)

    def fingerprint(self) -> str:
        return str(self.dataset._fingerprint)


def make_generator_step(
    dataset: Any,
    pipeline: Any = None,
    batch_size: int = 50,
    input_mappings: dict[str, str] | None = None,
    output_mappings: dict[str, str] | None = None,
    resources: StepResources | None = None,
    repo_id: str | None = None,
    name: str = "",
) -> GeneratorStep:
    """A source made of a list of dicts, a pandas DataFrame or a `datasets.Dataset`.

    Raises: ConfigError for anything else, and for `repo_id`, which has no meaning here.
    """
    if repo_id:
        raise ConfigError("`repo_id` has no meaning here, as the dataset is open already. Leave it out.")
    fields: dict[str, Any] = {
        "name": name,
        "pipeline": pipeline,
        "batch_size": batch_size,
        "input_mappings": input_mappings or {},
        "output_mappings": output_mappings or {},
        "resources": resources or StepResources(),
    }
    if isinstance(dataset, list):
        return LoadDataFromDicts(data=dataset, **fields)
    if _is_a(dataset, "pandas", "DataFrame"):
        return LoadDataFromDicts(data=_frame_rows(dataset), **fields)
    if _is_a(dataset, "datasets", "Dataset"):
        return LoadDataFromDataset(dataset=dataset, **fields)
    if _is_a(dataset, "datasets", "DatasetDict"):
        raise ConfigError(f"The dataset has several splits. Give one of them: {', '.join(dataset)}.")
    raise ConfigError(
        f"A source cannot be made of {type(dataset).__name__}. Give a list of dicts, a DataFrame or a Dataset."
    )


def dataset_rows(dataset: Any, offset: int, limit: int | None = None) -> Iterator[Row]:
    """The rows of a `datasets.Dataset`, or of one that is streamed, from row `offset` up to row `limit`."""
    if hasattr(dataset, "__len__"):
        stop = len(dataset) if limit is None else min(limit, len(dataset))
        yield from dataset.select(range(offset, stop)) if offset < stop else ()
    elif limit is None or offset < limit:
        yield from islice(dataset.skip(offset), None if limit is None else limit - offset)


def _is_a(value: Any, module: str, name: str) -> bool:
    # Whoever has such a value has imported its package, so there is no need to.
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def _frame_rows(frame: Any) -> list[Row]:
    import pyarrow

    if not frame.columns.is_unique:
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise ConfigError(f"The DataFrame has more than one column '{twice[0]}'. Rename one of them.")
    try:
        rows: list[Row] = pyarrow.Table.from_pandas(frame, preserve_index=False).to_pylist()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise ConfigError(f"A column of the DataFrame mixes kinds of values: {error}.") from error
    return rows
