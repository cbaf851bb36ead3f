"""Which columns each step gets, followed through the whole pipeline before anything runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from components.errors import MissingColumn, MissingPackage, StillroomError, did_you_mean
from components.pipeline.problem import Problem
from components.steps.step import METADATA, AnyStep, GeneratorStep, as_columns


@dataclass
class Flow:
    """The columns that come out of one step."""

    names: list[str] = field(default_factory=list)
    is_open: bool = False
    """There may be others, as a step cannot say which columns it makes."""


class ColumnCheck:
    """Finds columns that a step needs and does not get, and mappings of columns that it does not have."""

    def __init__(self, before: Mapping[str, Sequence[str]], steps: Mapping[str, AnyStep], asks_sources: bool) -> None:
        self._before = before
        self._steps = steps
        self._asks_sources = asks_sources
        self.flows: dict[str, Flow] = {}
        """What comes out of each step, once `problems` has been through."""

    def problems(self, order: Iterable[str]) -> Iterator[Problem]:
        """Everything wrong with columns, step by step; `order` has each step after those before it."""
        for name in order:
            branches = {before: self.flows[before] for before in self._before[name]}
            incoming = Flow(
                list(dict.fromkeys(column for flow in branches.values() for column in flow.names)),
                any(flow.is_open for flow in branches.values()) or not branches,
            )
            step = self._steps.get(name)
            if step is None or (isinstance(step, GeneratorStep) and not self._asks_sources):
                self.flows[name] = Flow(incoming.names, is_open=True)
                continue
            try:
                yield from self._mapped(step)
                yield from self._needed(step, incoming, branches)
                self.flows[name] = self._made(step, incoming)
            except StillroomError as error:
                yield self._broken(step, str(error), error)
            except Exception as error:
                # A step of somebody's own may fail in any way when asked for its columns.
                yield self._broken(
                    step, f"Step '{name}' cannot say its columns: {type(error).__name__}: {error}", error
                )

    def _needed(self, step: AnyStep, incoming: Flow, branches: Mapping[str, Flow]) -> Iterator[Problem]:
        if isinstance(step, GeneratorStep):
            return
        for column, is_needed in step.get_inputs().items():
            # What a run itself adds, such as the token probabilities of a model, nobody declares.
            if not is_needed or column == METADATA or column.startswith("llm_"):
                continue
            if column not in incoming.names and not incoming.is_open:
                yield Problem(step.name, "input_mappings", _missing(step, column, incoming), error=MissingColumn)
                continue
            for branch, flow in branches.items():
                if column in incoming.names and column not in flow.names and not flow.is_open:
                    message = f"Step '{step.name}' uses the column '{column}', which rows from '{branch}' do not have."
                    yield Problem(step.name, "input_mappings", message, "warning", MissingColumn)

    def _mapped(self, step: AnyStep) -> Iterator[Problem]:
        try:
            step.verify_mappings()
        except MissingColumn as error:
            inputs = as_columns(step.inputs)
            is_input = any(own not in inputs for own in step.input_mappings)
            field = "input_mappings" if is_input else "output_mappings"
            yield Problem(step.name, field, str(error), error=MissingColumn)

    def _made(self, step: AnyStep, incoming: Flow) -> Flow:
        made = list(step.get_outputs())
        if isinstance(step, GeneratorStep):
            return Flow(made, is_open=not made)
        if not step.keeps_columns:
            return Flow(made, is_open=not made)
        removed = step.get_removed()
        kept = [column for column in incoming.names if column not in removed]
        return Flow(list(dict.fromkeys([*kept, *made])), incoming.is_open)

    def _broken(self, step: AnyStep, message: str, error: Exception) -> Problem:
        self.flows[step.name] = Flow(is_open=True)
        if isinstance(error, StillroomError) and not isinstance(error, MissingPackage):
            return Problem(step.name, "", message, error=type(error))
        return Problem(step.name, "", message)


def _missing(step: AnyStep, column: str, incoming: Flow) -> str:
    there = f" It gets: {', '.join(incoming.names)}." if incoming.names else ""
    hint = did_you_mean(column, incoming.names)
    return f"Step '{step.name}' needs the column '{column}', which no step before it makes.{hint}{there}"
