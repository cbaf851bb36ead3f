"""Changes to a pipeline as the Build page makes them: each returns a new one and leaves the old as it was."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

from components import catalog
from components.errors import ConfigError
from components.pipeline.graph import MOST_STEPS, unused_name
from components.pipeline.spec import PipelineSpec
from components.steps.step import GeneratorStep, snake_case

STEP_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,100}")


def add_step(spec: PipelineSpec, use: str, after: str | None = None, name: str = "") -> PipelineSpec:
    """Put a new step after another one, before all that came next; at the end of the column unless `after` says where.

    A source goes to the front, before the steps that have nothing before them; so does any step with `after=""`, where
    there is no source yet.
    Raises: UnknownComponent, or ConfigError when the name is taken.
    """
    if len(spec.steps) >= MOST_STEPS:
        raise ConfigError(f"A pipeline can have {MOST_STEPS:,} steps at most.")
    name = new_name(spec, use, name)
    step, edges = {"use": use, "name": name}, spec.edges()
    if after == "":
        after = next((other for other in spec.step_names() if is_source(spec, other)), "")
    if issubclass(catalog.get(use), GeneratorStep) or after == "":
        fed = {downstream for _, downstream in edges}
        free = [other for other in spec.step_names() if other not in fed and not is_source(spec, other)]
        return _changed(spec, [step, *spec.steps], [*((name, other) for other in free), *edges])
    if after is None:
        after = spec.step_names()[-1] if spec.steps else None
    if after is None:
        return _changed(spec, [step], edges)
    position = spec.step_names().index(spec.step(after)["name"]) + 1
    moved = [((name, downstream) if upstream == after else (upstream, downstream)) for upstream, downstream in edges]
    routing = [entry | {"from": name} if entry["from"] == after else entry for entry in _routing(spec)]
    steps = [*spec.steps[:position], step, *spec.steps[position:]]
    return _changed(spec, steps, [*moved, (after, name)], routing)


def remove_step(spec: PipelineSpec, name: str) -> PipelineSpec:
    """Take a step out and connect the steps before it to those after it."""
    spec.step(name)
    edges = spec.edges()
    before = [upstream for upstream, downstream in edges if downstream == name]
    after = [downstream for upstream, downstream in edges if upstream == name]
    kept = [edge for edge in edges if name not in edge]
    bridges = [(upstream, downstream) for upstream in before for downstream in after]
    heir = before[0] if len(before) == 1 and [up for up, _ in edges].count(before[0]) == 1 else None
    routing = [entry | {"from": heir} if entry["from"] == name else entry for entry in _routing(spec)]
    steps = [step for step in spec.steps if step["name"] != name]
    return _changed(spec, steps, [*kept, *bridges], [entry for entry in routing if entry["from"] is not None])


def move_step(spec: PipelineSpec, name: str, direction: Literal["up", "down"]) -> PipelineSpec:
    """Let a step change places with the one before or after it.

    Raises: ConfigError where the rows branch or come together, and for sources.
    """
    spec.step(name)
    edges = spec.edges()
    ups, downs = [up for up, _ in edges], [down for _, down in edges]
    others = [up if direction == "up" else down for up, down in edges if name == (down if direction == "up" else up)]
    if not others:
        raise ConfigError(
            f"Step '{name}' cannot move {direction}: it is the {'first' if direction == 'up' else 'last'}."
        )
    first, second = (others[0], name) if direction == "up" else (name, others[0])
    if ups.count(first) != 1 or downs.count(second) != 1:
        raise ConfigError(f"Step '{name}' cannot move {direction}, because the rows branch or come together there.")
    if is_source(spec, first):
        raise ConfigError(f"Step '{name}' cannot move {direction}: the source '{first}' stays in front.")
    swap = {first: second, second: first}
    steps = {step["name"]: step for step in spec.steps}
    return _with_names(spec, [steps[swap.get(step, step)] for step in spec.step_names()], swap)


def rename_step(spec: PipelineSpec, name: str, new: str) -> PipelineSpec:
    """Call a step something else, wherever it is named. Raises: ConfigError when the name is taken or cannot be one."""
    step, new = spec.step(name), new.strip()
    if new == name:
        return spec
    if not new:
        raise ConfigError("A step needs a name.")
    new_name(spec, step["use"], new)
    steps = [other | {"name": new} if other["name"] == name else other for other in spec.steps]
    return _with_names(spec, steps, {name: new})


def set_field(spec: PipelineSpec, name: str, path: Sequence[str | int], value: Any) -> PipelineSpec:
    """Set one field of a step, such as ("llm", "generation_kwargs", "temperature"); groups on the way are made.

    Another component under `use` keeps the fields that it has too.
    Raises: ConfigError for a key, which a pipeline never holds, and where the path leads nowhere.
    """
    if tuple(path) == ("name",):
        return rename_step(spec, name, value)
    step = deepcopy(spec.step(name))
    *way, last = path or ("",)
    holder: Any = step
    for part in way:
        if isinstance(holder, dict):
            holder = holder.setdefault(part, {})
        else:
            holder = holder[part] if _has(holder, part) else None
    if isinstance(holder, dict) and last:
        if last == "use" and isinstance(value, str):
            _change_component(holder, value)
        holder[last] = deepcopy(value)
    elif isinstance(holder, list) and isinstance(last, int) and 0 <= last <= len(holder):
        holder[last : last + 1] = [deepcopy(value)]
    else:
        raise ConfigError(f"Step '{name}' has no place '{_dotted(path)}'.")
    return _with_step(spec, step)


def replace_step(spec: PipelineSpec, name: str, data: Mapping[str, Any]) -> PipelineSpec:
    """Give a step other settings, or have another component in its place; its name stays."""
    fields = {field: value for field, value in data.items() if field not in ("use", "name")}
    return _with_step(spec, {"use": data["use"], "name": name, **fields})


def with_name(spec: PipelineSpec, name: str) -> PipelineSpec:
    """Call the pipeline something else."""
    return _changed(spec, spec.steps, spec.edges(), name=name.strip())


def new_name(spec: PipelineSpec, use: str, wanted: str = "") -> str:
    """A name that no step has: the one that is wanted, or one made of the component's name.

    Raises: ConfigError when the wanted name is taken or cannot be one.
    """
    taken = set(spec.step_names())
    if not wanted:
        return unused_name(snake_case(use), taken)
    if wanted in taken:
        raise ConfigError(f"A step called '{wanted}' is in the pipeline already. Choose another name.")
    if len(wanted) > 100 or not all(
        character.isascii() and (character.isalnum() or character in "_.-") for character in wanted
    ):
        raise ConfigError(f"'{wanted}' cannot be the name of a step: use up to 100 letters, digits and _ - . only.")
    return wanted


def is_source(spec: PipelineSpec, name: str) -> bool:
    """Whether a step makes rows out of nothing."""
    use = spec.step(name)["use"]
    return use in catalog.names(GeneratorStep)


def _changed(
    spec: PipelineSpec,
    steps: Iterable[Mapping[str, Any]],
    edges: Iterable[tuple[str, str]],
    routing: Iterable[Mapping[str, Any]] | None = None,
    name: str | None = None,
) -> PipelineSpec:
    listed = [dict(step) for step in steps]
    after: dict[str, list[str]] = {str(step["name"]): [] for step in listed}
    for upstream, downstream in dict.fromkeys(edges):
        after.setdefault(upstream, []).append(downstream)
    connections = [{"from": upstream, "to": downstream} for upstream, downstream in after.items() if downstream]
    kept = _routing(spec) if routing is None else list(routing)
    called = spec.name if name is None else name
    return PipelineSpec(name=called, description=spec.description, steps=listed, connections=connections, routing=kept)


def _with_names(spec: PipelineSpec, steps: Iterable[Mapping[str, Any]], called: Mapping[str, str]) -> PipelineSpec:
    """Other steps, and the connections between them under other names."""
    edges = [(called.get(up, up), called.get(down, down)) for up, down in spec.edges()]
    routing = [entry | {"from": called.get(entry["from"], entry["from"])} for entry in _routing(spec)]
    return _changed(spec, steps, edges, routing)


def _with_step(spec: PipelineSpec, step: Mapping[str, Any]) -> PipelineSpec:
    steps = [step if other["name"] == step["name"] else other for other in spec.steps]
    return _changed(spec, steps, spec.edges())


def _routing(spec: PipelineSpec) -> list[dict[str, Any]]:
    return [entry.model_dump() for entry in spec.routing]


def _change_component(holder: dict[str, Any], use: str) -> None:
    known = catalog.get(use).model_fields
    for field in [field for field in holder if field not in ("use", "name") and field not in known]:
        del holder[field]


def _has(holder: Any, part: str | int) -> bool:
    if isinstance(holder, dict):
        return part in holder
    return isinstance(holder, list) and isinstance(part, int) and 0 <= part < len(holder)


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)
