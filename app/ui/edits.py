"""What a person does to the steps of a pipeline: each edit gives a new pipeline, the old one stays as it was."""

from itertools import pairwise
from typing import Any

from components import catalog
from components.errors import ConfigError
from components.pipeline.graph import unused_name
from components.pipeline.spec import PipelineSpec
from components.steps.step import GeneratorStep, snake_case

Data = dict[str, Any]
Edges = list[tuple[str, str]]


def is_chain(spec: PipelineSpec) -> bool:
    """Whether each step gets the rows of the one above it and of no other."""
    names = spec.step_names()
    return sorted(spec.edges()) == sorted(pairwise(names)) and not spec.routing


def add_step(spec: PipelineSpec, data: Data, index: int) -> tuple[PipelineSpec, str]:
    """Put a new step at a place in the column; a first source goes to the top. Gives the step's name too."""
    use = str(data["use"])
    name = unused_name(snake_case(use), spec.step_names())
    if _is_source(use) and not any(_is_source(step["use"]) for step in spec.steps):
        index = 0
    steps = [dict(step) for step in spec.steps]
    steps.insert(max(0, min(index, len(steps))), {"use": use, "name": name, **_without(data, "use", "name")})
    if is_chain(spec):
        return _chained(spec, steps), name
    edges = spec.edges()
    if 0 < index <= len(spec.steps) and not _is_source(use):
        edges.append((spec.steps[index - 1]["name"], name))
    return _rebuilt(spec, steps, edges), name


def remove_step(spec: PipelineSpec, name: str) -> PipelineSpec:
    """Take a step out; the steps after it get the rows of those before it."""
    edges = spec.edges()
    before = [source for source, target in edges if target == name]
    after = [target for source, target in edges if source == name]
    kept = [edge for edge in edges if name not in edge]
    bridges = [(source, target) for source in before for target in after if (source, target) not in kept]
    steps = [dict(step) for step in spec.steps if step["name"] != name]
    routing = [one for one in spec.routing if one.source != name]
    return _rebuilt(spec, steps, [*kept, *bridges], routing=routing)


def move_step(spec: PipelineSpec, name: str, by: int) -> PipelineSpec:
    """Move a step up or down the column; in a plain column the rows follow."""
    steps = [dict(step) for step in spec.steps]
    index = spec.step_names().index(name)
    target = max(0, min(len(steps) - 1, index + by))
    steps.insert(target, steps.pop(index))
    return _chained(spec, steps) if is_chain(spec) else _rebuilt(spec, steps, spec.edges())


def rename_step(spec: PipelineSpec, name: str, new: str) -> PipelineSpec:
    """Call a step something else, everywhere. Raises: ConfigError when another step has that name."""
    new = new.strip()
    if new == name:
        return spec
    if not new:
        raise ConfigError("A step needs a name.")
    if new in spec.step_names():
        raise ConfigError(f"Another step is called '{new}' already.")
    steps = [{**step, "name": new} if step["name"] == name else dict(step) for step in spec.steps]
    edges = [tuple(new if end == name else end for end in edge) for edge in spec.edges()]
    routing = [one.model_copy(update={"source": new}) if one.source == name else one for one in spec.routing]
    return _rebuilt(spec, steps, [(source, target) for source, target in edges], routing=routing)


def replace_step(spec: PipelineSpec, name: str, data: Data) -> PipelineSpec:
    """Give a step other settings; its name stays."""
    fresh = {"use": data["use"], "name": name, **_without(data, "use", "name")}
    steps = [fresh if step["name"] == name else dict(step) for step in spec.steps]
    return _rebuilt(spec, steps, spec.edges())


def with_name(spec: PipelineSpec, name: str) -> PipelineSpec:
    """Call the pipeline something else."""
    return PipelineSpec(**_fields(spec) | {"name": name.strip()})


def _chained(spec: PipelineSpec, steps: list[Data]) -> PipelineSpec:
    names = [step["name"] for step in steps]
    return _rebuilt(spec, steps, list(pairwise(names)))


def _rebuilt(spec: PipelineSpec, steps: list[Data], edges: Edges, **others: Any) -> PipelineSpec:
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    connections = [{"from": source, "to": targets} for source, targets in after.items()]
    return PipelineSpec(**_fields(spec) | {"steps": steps, "connections": connections} | others)


def _fields(spec: PipelineSpec) -> Data:
    return {name: getattr(spec, name) for name in PipelineSpec.model_fields}


def _is_source(use: str) -> bool:
    try:
        return issubclass(catalog.get(use), GeneratorStep)
    except ConfigError:
        return False


def _without(data: Data, *names: str) -> Data:
    return {name: value for name, value in data.items() if name not in names}
