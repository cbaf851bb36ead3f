"""The contract of a step: rows in, rows out."""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, overload

from pydantic import Field, PrivateAttr

from components.component import Component, Incidental, RuntimeParameter
from components.errors import ConfigError, MissingColumn, did_you_mean
from components.steps import artifacts
from components.steps.building import Builder, pipeline_being_built
from components.steps.typing import GeneratorStepOutput, Row, StepColumns, StepOutput

METADATA = "distilabel_metadata"
"""The column that carries what happened on the way to a row."""


class StepResources(Component):
    """What a step may use. Nothing of it changes how this machine works, and `check` says so where it is set."""

    replicas: RuntimeParameter[int] = Field(1, ge=1)
    """How many copies of the step work at once."""
    cpus: RuntimeParameter[float] = None
    """Processor cores for each copy."""
    gpus: RuntimeParameter[float] = None
    """Graphics cards for each copy."""
    memory: RuntimeParameter[int] = None
    """Bytes of memory for each copy."""
    resources: RuntimeParameter[dict[str, int]] = None
    """Other resources by name."""


class AnyStep(Component, ABC):
    """What sources, row steps and table steps share: a name, columns and connections."""

    category: ClassVar[str] = "Steps"

    name: str = Field("", pattern=r"^[a-zA-Z0-9_.-]*$", max_length=100)
    """What the step is called in its pipeline."""
    pipeline: Any = Field(None, exclude=True, repr=False)
    """The pipeline it belongs to; taken from the `with` block it is made in."""
    resources: Incidental[StepResources] = Field(default_factory=StepResources)
    """What the step may use."""
    input_mappings: dict[str, str] = Field(default_factory=dict)
    """Where the step finds its columns: the step's own name of a column -> the name it has in the rows."""
    output_mappings: dict[str, str] = Field(default_factory=dict)
    """What the step's new columns are called: the step's own name -> the name they get in the rows."""
    use_cache: Incidental[bool] = True
    """Take over results of an earlier run for rows that did not change."""

    _artifacts: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        if self.pipeline is None:
            self.__dict__["pipeline"] = pipeline_being_built.get()
        builder: Builder | None = self.pipeline
        if not self.name:
            stem = snake_case(type(self).__name__)
            self.__dict__["name"] = builder.unused_name(stem) if builder is not None else f"{stem}_0"
        if builder is not None:
            builder.add_step(self)

    @property
    def inputs(self) -> StepColumns:
        """The columns the step needs."""
        return []

    @property
    def outputs(self) -> StepColumns:
        """The columns the step makes."""
        return []

    @property
    def keeps_columns(self) -> bool:
        """Whether columns that the step does not know come out of it unchanged."""
        return True

    @property
    def removes(self) -> list[str]:
        """Columns the step takes in that do not come out of it."""
        return []

    def get_inputs(self) -> dict[str, bool]:
        """The columns it needs, as the rows call them; True where it cannot do without."""
        return {self.input_mappings.get(name, name): needed for name, needed in as_columns(self.inputs).items()}

    def get_outputs(self) -> dict[str, bool]:
        """The columns it makes, as the rows will call them."""
        return {self.output_mappings.get(name, name): needed for name, needed in as_columns(self.outputs).items()}

    def get_removed(self) -> set[str]:
        """The columns that do not come out of it, as the rows call them."""
        return {self.input_mappings.get(name, name) for name in self.removes} - self.get_outputs().keys()

    def verify_mappings(self) -> None:
        """Raises: MissingColumn when a mapping names a column that the step does not have."""
        for mappings, columns, kind in (
            (self.input_mappings, as_columns(self.inputs), "input"),
            (self.output_mappings, as_columns(self.outputs), "output"),
        ):
            for own in mappings:
                if own not in columns:
                    raise MissingColumn(
                        f"Step '{self.name}' has no {kind} column '{own}' to map.{did_you_mean(own, columns)}"
                    )

    def load(self) -> None:
        """Get ready to work; a pipeline calls it for you."""

    def unload(self) -> None:
        """Give back what `load` took."""

    def save_artifact(
        self, name: str, write_function: Callable[[Path], Any], metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Keep files beside the rows: `write_function` gets a folder to write them into.

        They are kept with the run, and go along with `save_to_disk` and `push_to_hub`. One of the same name is
        replaced. Rows that are taken over from an earlier run are not worked on again, so they make no artifact.

        Raises: ConfigError outside a run, and for a name that is not one plain file name.
        """
        if self._artifacts is None:
            raise ConfigError(f"{self._title()} keeps artifacts only in a run. Run its pipeline.")
        artifacts.keep(self._artifacts, self.name, name, write_function, metadata)

    def keep_artifacts_in(self, folder: Path) -> None:
        """Where this run keeps artifacts; a run says so before it begins."""
        self._artifacts = folder

    def impute_step_outputs(self, step_output: Iterable[Row]) -> list[Row]:
        """Rows with nothing in the columns that this step makes, as for rows it could not work on."""
        return [{**row, **dict.fromkeys(self.get_outputs())} for row in step_output]

    def connect(self, *steps: "AnyStep", routing_batch_function: Any = None) -> None:
        """Send this step's rows to other steps."""
        self._builder().connect(self, list(steps), routing_batch_function)

    @overload
    def __rshift__(self, other: "AnyStep") -> "AnyStep": ...
    @overload
    def __rshift__(self, other: list["AnyStep"]) -> list["AnyStep"]: ...
    @overload
    def __rshift__(self, other: Any) -> Any: ...

    def __rshift__(self, other: Any) -> Any:
        if isinstance(other, AnyStep):
            self.connect(other)
            return other
        if isinstance(other, (list, tuple)):
            self.connect(*other)
            return other
        return other.after(self)

    def __rrshift__(self, other: Iterable["AnyStep"]) -> Self:
        for step in other:
            step.connect(self)
        return self

    def _identity(self) -> dict[str, Any]:
        identity = super()._identity()
        identity.pop("name", None)
        return identity

    def _builder(self) -> Builder:
        if self.pipeline is None:
            raise ConfigError(f"Step '{self.name}' is in no pipeline. Make it inside `with Pipeline(...)`.")
        builder: Builder = self.pipeline
        return builder

    def _title(self) -> str:
        return f"Step '{self.name}'" if self.name else type(self).__name__


class Step(AnyStep):
    """A step that works on each row by itself, or on the rows of several branches side by side.

    `process` gets one list of rows for each step before it, and yields lists of rows: none drops the row, several
    make several of it.
    """

    input_batch_size: Incidental[RuntimeParameter[int]] = Field(50, ge=1)
    """How many rows are handed to a worker at a time; every row is still processed by itself."""

    takes_batches: ClassVar[bool] = False
    """Set it where `process` is faster on many rows and gives exactly one row for each, in order."""

    @abstractmethod
    def process(self, *inputs: Any, **parameters: Any) -> StepOutput:
        """Yield the rows made of the input rows."""

    def apply(self, *inputs: Sequence[Row]) -> list[Row]:
        """Every row that `process` yields for these rows, with the column mappings done."""
        seen = [[self._view(row) for row in rows] for rows in inputs]
        made = collect_rows(self.process(*seen), self)
        original = inputs[0][0] if inputs and len(inputs[0]) == 1 else None
        if original is None and inputs and self._hides_columns(inputs[0]):
            if len(made) != len(inputs[0]):
                raise ConfigError(
                    f"Step '{self.name}' must make one row for each row, "
                    "as its input_mappings hide columns that have to be put back."
                )
            return [self._restored(row, source) for row, source in zip(made, inputs[0], strict=True)]
        return [self._restored(row, original or {}) for row in made]

    def process_applying_mappings(self, *inputs: Sequence[Row]) -> Iterator[list[Row]]:
        """`process` on rows as a pipeline has them, with the column mappings done, in the order of the rows.

        It takes a list of rows for each step before this one. Raises: ConfigError for lists of different lengths.
        """
        if len({len(rows) for rows in inputs}) > 1:
            raise ConfigError(f"{self._title()} takes lists of the same length, one for each step before it.")
        if self._takes_all_rows:
            yield self.apply(*inputs)
            return
        yield [made for rows in zip(*inputs, strict=True) for made in self.apply(*([row] for row in rows))]

    @property
    def _takes_all_rows(self) -> bool:
        return self.takes_batches

    def _hides_columns(self, rows: Sequence[Row]) -> bool:
        outputs = as_columns(self.outputs)
        return any(own in outputs or any(own in row for row in rows) for own in self.input_mappings)

    def _view(self, row: Row) -> Row:
        if not self.input_mappings:
            return dict(row)
        taken = set(self.input_mappings.values())
        view = {name: value for name, value in row.items() if name not in taken}
        for own, name in self.input_mappings.items():
            if name in row:
                view[own] = row[name]
        return view

    def _restored(self, made: Row, original: Row) -> Row:
        if not self.input_mappings and not self.output_mappings:
            return made
        row, outputs = dict(made), as_columns(self.outputs)
        new = {self.output_mappings.get(own, own): row.pop(own) for own in outputs if own in row}
        # Everything is taken out before anything is put back, as mappings may swap two names.
        back: Row = {}
        for own, name in self.input_mappings.items():
            if own in outputs:
                if name in original and name not in row:
                    back[name] = original[name]
            elif own in row:
                back[name] = row.pop(own)
            else:
                continue
            # A column that the mapping hid from the step comes back.
            if own in original and own not in self.input_mappings.values():
                back.setdefault(own, original[own])
        return row | back | new


class GeneratorStep(AnyStep):
    """A source: it needs no rows and makes them."""

    category: ClassVar[str] = "Sources"

    batch_size: Incidental[RuntimeParameter[int]] = Field(50, ge=1)
    """How many rows it hands on at a time."""

    @abstractmethod
    def process(self, offset: int = 0) -> GeneratorStepOutput:
        """Yield rows, from row `offset` on, and whether they are the last."""

    def fingerprint(self) -> str:
        """A hash of the data behind the source, so that changed data is noticed; empty where none is kept."""
        return ""

    def batches(self, offset: int = 0) -> Iterator[list[Row]]:
        """Every list of rows, mapped and checked; a source that forgets to say which is the last ends all the same."""
        for item in self.process(offset=offset):
            if not (isinstance(item, tuple) and len(item) == 2):
                raise ConfigError(f"Source '{self.name}' must yield (rows, is_last), not {type(item).__name__}.")
            rows, is_last = item
            yield [self._renamed(row) for row in check_rows(rows, self)]
            if is_last:
                return

    def process_applying_mappings(self, offset: int = 0) -> Iterator[tuple[list[Row], bool]]:
        """`process`, with the column mappings done: lists of rows, and whether each is the last."""
        for rows, is_last in self.process(offset=offset):
            yield [self._renamed(row) for row in check_rows(rows, self)], is_last

    def _renamed(self, row: Row) -> Row:
        if not self.output_mappings:
            return row
        return {self.output_mappings.get(name, name): value for name, value in row.items()}


class GlobalStep(Step):
    """A step that needs all rows before it can begin, such as sorting or removing duplicates."""

    @property
    def _takes_all_rows(self) -> bool:
        return True


def as_columns(columns: StepColumns) -> dict[str, bool]:
    """Column names with whether each is needed."""
    return columns if isinstance(columns, dict) else dict.fromkeys(columns, True)


def collect_rows(yielded: Any, step: AnyStep) -> list[Row]:
    """The rows of every `yield`, in order."""
    if yielded is None:
        return []
    if isinstance(yielded, (dict, str)) or not isinstance(yielded, Iterable):
        raise ConfigError(f"Step '{step.name}' must yield lists of rows, not {type(yielded).__name__}.")
    if isinstance(yielded, list) and all(isinstance(row, dict) for row in yielded):
        return check_rows(yielded, step)
    return [row for rows in yielded for row in check_rows(rows, step)]


def check_rows(rows: Any, step: AnyStep) -> list[Row]:
    """Raises: ConfigError unless it is a list of dicts with names of columns as keys."""
    if not isinstance(rows, (list, tuple)):
        raise ConfigError(f"Step '{step.name}' must yield lists of rows, not {type(rows).__name__}.")
    for row in rows:
        if not isinstance(row, dict):
            raise ConfigError(f"Step '{step.name}' made a row that is no dict but {type(row).__name__}.")
        for name in row:
            if not isinstance(name, str):
                raise ConfigError(f"Step '{step.name}' made a column named {name!r}; column names are text.")
    return list(rows)


def takes_several_inputs(step: AnyStep) -> bool:
    """Whether `process` accepts rows of more than one step before it."""
    parameters = inspect.signature(type(step).process).parameters.values()  # type: ignore[attr-defined]
    return any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)


def snake_case(name: str) -> str:
    """`TextGeneration` as `text_generation`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
