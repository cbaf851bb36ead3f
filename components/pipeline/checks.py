"""Everything that is wrong with a pipeline, finished or not, found at once and before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from components import catalog
from components.component import Component
from components.errors import ConfigError, did_you_mean
from components.pipeline.columns import ColumnCheck
from components.pipeline.graph import MOST_CONNECTIONS, MOST_STEPS, Graph, find_loop, loop_sentence
from components.pipeline.problem import Problem
from components.pipeline.routing import build_routing
from components.pipeline.spec import PipelineSpec
from components.steps.step import AnyStep, GeneratorStep, StepResources, takes_several_inputs


@dataclass
class Outline:
    """The parts of a pipeline that can be made out: steps that could be built, and names of those that could not."""

    after: dict[str, list[str]] = field(default_factory=dict)
    before: dict[str, list[str]] = field(default_factory=dict)
    steps: dict[str, AnyStep] = field(default_factory=dict)
    classes: dict[str, type[Component]] = field(default_factory=dict)

    def add(self, name: str) -> None:
        self.after[name], self.before[name] = [], []

    def connect(self, upstream: str, downstream: str) -> None:
        self.after[upstream].append(downstream)
        self.before[downstream].append(upstream)

    def is_source(self, name: str) -> bool:
        return name in self.classes and issubclass(self.classes[name], GeneratorStep)


def check(pipeline: PipelineSpec | Graph, *, has_dataset: bool = False, asks_sources: bool = True) -> list[Problem]:
    """All problems, those of the whole pipeline first and then in the order of the steps; it never raises.

    `has_dataset`: rows will be given to the run. Without `asks_sources` no file is opened to learn its columns.
    """
    problems: list[Problem] = []
    if isinstance(pipeline, PipelineSpec) and (too_many := list(_too_many(pipeline))):
        return too_many
    outline = _outline_of(pipeline) if isinstance(pipeline, Graph) else _sketch(pipeline, problems)
    problems += _structure(outline, has_dataset)
    loop = find_loop(outline.after)
    if loop:
        problems.append(Problem(loop[0], "", loop_sentence(loop)))
    for step in outline.steps.values():
        problems += _missing_parameters(step)
        problems += _unused_resources(step)
    if not loop:
        columns = ColumnCheck(outline.before, outline.steps, asks_sources)
        problems += columns.problems(TopologicalSorter(outline.before).static_order())
    place = {name: number for number, name in enumerate(outline.after)}
    return sorted(dict.fromkeys(problems), key=lambda problem: place.get(problem.step, -1))


def _too_many(spec: PipelineSpec) -> Iterator[Problem]:
    if len(spec.steps) > MOST_STEPS:
        yield Problem("", "steps", f"The pipeline has {len(spec.steps):,} steps; {MOST_STEPS:,} are the most.")
    if len(spec.edges()) > MOST_CONNECTIONS:
        message = f"The pipeline has {len(spec.edges()):,} connections; {MOST_CONNECTIONS:,} are the most."
        yield Problem("", "connections", message)


def _outline_of(graph: Graph) -> Outline:
    outline = Outline(steps=dict(graph.steps), classes={name: type(step) for name, step in graph.steps.items()})
    for name in graph.steps:
        outline.after[name], outline.before[name] = graph.successors(name), graph.predecessors(name)
    return outline


def _sketch(spec: PipelineSpec, problems: list[Problem]) -> Outline:
    outline = Outline()
    for data in spec.steps:
        name = data["name"]
        if name in outline.after:
            problems.append(Problem(name, "name", f"Two steps are called '{name}'. Give one of them another name."))
            continue
        outline.add(name)
        with suppress(ConfigError):
            outline.classes[name] = catalog.get(data["use"])
        step, faults = catalog.attempt(data, f"Step '{name}'", AnyStep)
        problems += [
            Problem(name, ".".join(str(part) for part in fault.path), fault.message, error=fault.error)
            for fault in faults
        ]
        if isinstance(step, AnyStep):
            outline.steps[name] = step
    problems += _connections(spec, outline)
    problems += _routings(spec, outline)
    return outline


def _connections(spec: PipelineSpec, outline: Outline) -> Iterator[Problem]:
    for connection in spec.connections:
        for downstream in connection.to:
            unknown = [name for name in (connection.source, downstream) if name not in outline.after]
            if unknown:
                yield Problem("", "connections", _unknown_step("A connection", unknown[0], outline))
            elif downstream in outline.after[connection.source]:
                message = f"'{connection.source}' is connected to '{downstream}' twice. Remove one of the connections."
                yield Problem(downstream, "connections", message)
            else:
                outline.connect(connection.source, downstream)


def _routings(spec: PipelineSpec, outline: Outline) -> Iterator[Problem]:
    for routing in spec.routing:
        if routing.source not in outline.after:
            yield Problem("", "routing", _unknown_step("A routing function", routing.source, outline))
            continue
        if not outline.after[routing.source]:
            message = f"Step '{routing.source}' has a routing function, but no steps come next to choose among."
            yield Problem(routing.source, "routing", message)
        try:
            build_routing({"use": routing.use, **(routing.model_extra or {})})
        except ConfigError as error:
            yield Problem(routing.source, "routing", str(error), error=type(error))


def _structure(outline: Outline, has_dataset: bool) -> Iterator[Problem]:
    if not outline.after:
        yield Problem("", "steps", "The pipeline has no steps yet. Add a source of rows, then the steps that use them.")
    for name, before in outline.before.items():
        if outline.is_source(name):
            yield from _around_source(outline, name)
        elif not before and not has_dataset:
            message = f"Step '{name}' needs a step before it. Connect one, or begin with a source such as "
            yield Problem(name, "connections", f"{message}LoadDataFromFileSystem.")
        elif len(before) > 1 and name in outline.steps and not takes_several_inputs(outline.steps[name]):
            message = f"Step '{name}' takes the rows of one step, but {_listed(before)} come before it."
            yield Problem(name, "connections", f"{message} Put a CombineOutputs or GroupColumns between them.")


def _around_source(outline: Outline, name: str) -> Iterator[Problem]:
    for upstream in outline.before[name]:
        message = f"Step '{name}' is a source and makes its own rows, so '{upstream}' cannot come before it."
        yield Problem(name, "connections", message)
    if not outline.after[name] and len(outline.after) > 1:
        message = f"Nothing comes after source '{name}', so its rows are a result as they are."
        yield Problem(name, "connections", message, "warning")


def _unused_resources(step: AnyStep) -> Iterator[Problem]:
    given = [
        name for name, field in StepResources.model_fields.items() if getattr(step.resources, name) != field.default
    ]
    if given:
        message = (
            f"Step '{step.name}' sets {_listed(given)} under resources, which changes nothing here: "
            "rows are worked on side by side on this machine, up to the concurrency of the run."
        )
        yield Problem(step.name, "resources", message, "warning")


def _missing_parameters(step: AnyStep) -> Iterator[Problem]:
    for path in _without_value(step, step.get_runtime_parameters_info()):
        nested: Any = "..."
        for part in reversed(path.split(".")):
            nested = f'{{"{part}": {nested}}}'
        message = (
            f"Step '{step.name}' needs a value for '{path}'. "
            f'Set it on the step, or give it to the run: parameters={{"{step.name}": {nested}}}.'
        )
        yield Problem(step.name, path, message)


def _without_value(component: Component, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        name = row["name"]
        value = getattr(component, name, None)
        if "runtime_parameters_info" in row:
            inner = row["runtime_parameters_info"]
            yield from (f"{name}.{path}" for path in _without_value(value, inner)) if value is not None else ()
        elif "keys" in row:
            given = value or {}
            yield from (
                f"{name}.{key['name']}" for key in row["keys"] if not key["optional"] and key["name"] not in given
            )
        elif not row["optional"] and value is None:
            yield name


def _unknown_step(what: str, name: str, outline: Outline) -> str:
    return f"{what} names the step '{name}', which is not there.{did_you_mean(name, outline.after)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
