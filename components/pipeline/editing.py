"""Changes to a pipeline as the Build page makes them: each returns a new one and leaves the old as it was.

A pipeline that does not branch stays one chain, connected as its steps stand from top to bottom.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

from components import catalog
from components.errors import ConfigError
from components.pipeline import chain
from components.pipeline.graph import MOST_STEPS, unused_name
from components.pipeline.spec import PipelineSpec
from components.steps.step import snake_case

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
    catalog.get(use)
    step, edges = {"use": use, "name": name}, spec.edges()
    if after:
        spec.step(after)
    column = chain.chain_of(spec)
    if column is not None:
        position = len(column) if after is None else column.index(after) + 1 if after else 0
        position = 0 if chain.is_source(step) else position
        steps = [spec.step(other) for other in column]
        return _in_column(spec, [*steps[:position], step, *steps[position:]])
    if after == "":
        after = next((other for other in spec.step_names() if is_source(spec, other)), "")
    if chain.is_source(step) or after == "":
        fed = {downstream for _, downstream in edges}
        free = [other for other in spec.step_names() if other not in fed and not is_source(spec, other)]
        return _changed(spec, [step, *spec.steps], [*((name, other) for other in free), *edges])
    after = after or spec.step_names()[-1]
    position = spec.step_names().index(after) + 1
    moved = [((name, downstream) if upstream == after else (upstream, downstream)) for upstream, downstream in edges]
    routing = [entry | {"from": name} if entry["from"] == after else entry for entry in _routing(spec)]
    steps = [*spec.steps[:position], step, *spec.steps[position:]]
    return _changed(spec, steps, [*moved, (after, name)], routing)


def remove_step(spec: PipelineSpec, name: str) -> PipelineSpec:
    """Take a step out and connect the steps before it to those after it.

    What is left without rows gets those of another source, the nearest one above.
    """
    spec.step(name)
    column = chain.chain_of(spec)
    if column is not None:
        return _in_column(spec, [spec.step(other) for other in column if other != name])
    edges = spec.edges()
    before = [upstream for upstream, downstream in edges if downstream == name]
    after = [downstream for upstream, downstream in edges if upstream == name]
    kept = [edge for edge in edges if name not in edge]
    fed = {downstream for _, downstream in kept}
    feeding = before or _another_source(spec, name)
    bridges = [(up, down) for up in feeding for down in after if before or down not in fed]
    heir = before[0] if len(before) == 1 and [up for up, _ in edges].count(before[0]) == 1 else None
    routing = [entry | {"from": heir} if entry["from"] == name else entry for entry in _routing(spec)]
    steps = [step for step in spec.steps if step["name"] != name]
    return _changed(spec, steps, [*kept, *bridges], [entry for entry in routing if entry["from"] is not None])


def move_step(spec: PipelineSpec, name: str, direction: Literal["up", "down"]) -> PipelineSpec:
    """Let a step change places with the one before or after it.

    Raises: ConfigError where the rows branch or come together, and for sources.
    """
    spec.step(name)
    column = chain.chain_of(spec)
    if column is not None:
        return _moved_in_column(spec, column, name, direction)
    edges = spec.edges()
    ups, downs = [up for up, _ in edges], [down for _, down in edges]
    others = [up if direction == "up" else down for up, down in edges if name == (down if direction == "up" else up)]
    if not others:
        raise ConfigError(_at_the_end(name, direction))
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
    return chain.is_source(spec.step(name))


def _in_column(spec: PipelineSpec, steps: Sequence[Mapping[str, Any]]) -> PipelineSpec:
    steps = chain.in_front(steps)
    return _changed(spec, steps, chain.links(steps))


def _moved_in_column(
    spec: PipelineSpec, column: list[str], name: str, direction: Literal["up", "down"]
) -> PipelineSpec:
    at = column.index(name)
    to = at + (-1 if direction == "up" else 1)
    if not 0 <= to < len(column):
        raise ConfigError(_at_the_end(name, direction))
    if is_source(spec, name) != is_source(spec, column[to]):
        source = name if is_source(spec, name) else column[to]
        raise ConfigError(f"Step '{name}' cannot move {direction}: the source '{source}' stays in front.")
    column[at], column[to] = column[to], column[at]
    return _in_column(spec, [spec.step(other) for other in column])


def _at_the_end(name: str, direction: str) -> str:
    return f"Step '{name}' cannot move {direction}: it is the {'first' if direction == 'up' else 'last'}."


def _another_source(spec: PipelineSpec, name: str) -> list[str]:
    """The source nearest above a step, or else the nearest below it; none whose rows are shared out by a function."""
    names, routed = spec.step_names(), {entry.source for entry in spec.routing}
    free = [other for other in names if other != name and other not in routed and is_source(spec, other)]
    above = [other for other in free if names.index(other) < names.index(name)]
    return above[-1:] or free[:1]


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
    column = chain.chain_of(spec) if step["use"] != spec.step(step["name"])["use"] else None
    if column is not None:
        by_name = {other["name"]: other for other in steps}
        return _in_column(spec, [by_name[other] for other in column])
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
