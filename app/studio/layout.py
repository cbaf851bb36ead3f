"""Which columns the table of a step has: who made them, and what a person may put there instead."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.errors import StillroomError
from components.pipeline.ledger import Run
from components.pipeline.spec import PipelineSpec
from components.steps.step import METADATA, AnyStep, GeneratorStep
from components.steps.tasks.task import GeneratorTask, Task

NEVER_EDITED = frozenset({"model_name", METADATA})


@dataclass(frozen=True)
class Layout:
    """The columns on the way to one step of a run."""

    step: str
    edges: list[tuple[str, str]]
    """Every connection of the pipeline."""
    kin: Mapping[str, frozenset[str]]
    """For the step and those before it whose rows have the same names: they and the steps before them."""
    makers: Mapping[str, str] = field(default_factory=dict)
    """The step that made each column; a column that came with the data is not in it."""
    choices: Mapping[str, list[str]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    """The columns that the step itself says it makes."""

    def may_edit(self, column: str) -> bool:
        """Whether a person may correct the column: not what came with the data, nor what says how it was made."""
        return column in self.makers and column not in NEVER_EDITED and not column.startswith("llm_")

    def reaches(self, column: str, step: str) -> bool:
        """Whether what is said about the column in the table of another step holds for this table too."""
        return step == self.step or (step in self.kin and self.makers.get(column) in self.kin[step])


def layout_of(run: Run, step: str, tables: Collection[str]) -> Layout:
    """The layout of a step's table, from the pipeline of the run; `tables` are its steps that need all rows at once."""
    spec = PipelineSpec.model_validate_json(run.spec)
    edges = spec.edges()
    # A step that needs all rows names its own anew, so what is known of a row does not reach across it.
    near = [edge for edge in edges if edge[1] not in tables]
    kin = {name: _ancestors(name, near) for name in _ancestors(step, near)}
    try:
        graph = spec.build()
    except StillroomError:
        # Only the script can build it.
        return Layout(step, edges, kin)
    makers: dict[str, str] = {}
    choices: dict[str, list[str]] = {}
    before = _ancestors(step, edges)
    for name in graph.order():
        if name in before:
            _note_columns(graph.steps[name], makers, choices)
    makers = {column: maker if maker in kin else step for column, maker in makers.items()}
    return Layout(step, edges, kin, makers, choices, tuple(_made_by(graph.steps[step])))


def _note_columns(step: AnyStep, makers: dict[str, str], choices: dict[str, list[str]]) -> None:
    for column in _made_by(step):
        # A step that only passes a column on did not make it.
        if isinstance(step, (Task, GeneratorTask)) or column not in makers:
            makers[column] = step.name
            answers = _choices(step, column)
            if answers:
                choices[column] = answers


def _made_by(step: AnyStep) -> list[str]:
    # A source is not asked: it may have to open a file or the network to know its columns.
    if isinstance(step, GeneratorStep) and not isinstance(step, GeneratorTask):
        return []
    try:
        return list(step.get_outputs())
    except Exception:
        # A step of somebody's own may fail in any way when asked for its columns.
        return []


def _choices(step: AnyStep, column: str) -> list[str]:
    """The labels of a step that has a list of them, for the column they go to."""
    answers: Any = getattr(step, "answers", None)
    own = {mapped: name for name, mapped in step.output_mappings.items()}.get(column, column)
    first = next((name for name in step.outputs if name not in NEVER_EDITED), None)
    return list(answers) if isinstance(answers, list) and own == first else []


def _ancestors(step: str, edges: list[tuple[str, str]]) -> frozenset[str]:
    found, waiting = {step}, [step]
    while waiting:
        current = waiting.pop()
        for upstream, downstream in edges:
            if downstream == current and upstream not in found:
                found.add(upstream)
                waiting.append(upstream)
    return frozenset(found)
