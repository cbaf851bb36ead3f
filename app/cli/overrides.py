"""`--set step.field=value`: one field of a pipeline, changed for this run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.cli.screen import WrongUse
from components import catalog
from components.errors import ConfigError, did_you_mean
from components.pipeline import editing
from components.pipeline.spec import PipelineSpec, is_key_name
from components.steps.step import AnyStep


def with_settings(spec: PipelineSpec, settings: Sequence[str]) -> PipelineSpec:
    """The pipeline with fields changed, each value as the type of its field.

    Raises: WrongUse naming the flag, and the closest field where there is none of that name.
    """
    for setting in settings:
        spec = _changed(spec, setting)
    return spec


def _changed(spec: PipelineSpec, setting: str) -> PipelineSpec:
    place, equals, text = setting.partition("=")
    if not equals:
        raise WrongUse(f"--set {setting}: write it as step.field=value.")
    name = _step_name(spec, place)
    path = list(_path(spec.step(name), place[len(name) + 1 :].split(".")))
    # A key must not be repeated on the screen or in a log.
    shown = f"--set {place}={'…' if is_key_name(path[-1]) else text}"
    if path == ["name"]:
        raise WrongUse(f"{shown}: the name of a step is changed in the pipeline's file.")
    before = set(_faults(spec, name))
    sentences: list[str] = []
    for value in _readings(text):
        try:
            changed = editing.set_field(spec, name, path, value)
            sentences += [fault for fault in _faults(changed, name) if fault not in before] or [""]
        except ConfigError as error:
            sentences.append(str(error))
        if not sentences[-1]:
            return changed
    raise WrongUse(f"{shown}: {sentences[0]}")


def _step_name(spec: PipelineSpec, place: str) -> str:
    """The step that a place begins with; names may hold dots, so the longest that fits is meant."""
    names = spec.step_names()
    fitting = [name for name in names if place.startswith(f"{name}.") and len(place) > len(name) + 1]
    if fitting:
        return max(fitting, key=len)
    bare = place.removesuffix(".")
    if bare in names:
        raise WrongUse(f"--set {place}: name a field of the step too, as in {bare}.llm.model=NAME.")
    first = place.partition(".")[0]
    raise WrongUse(f"--set {place}: there is no step '{first}' in the pipeline.{did_you_mean(first, names)}")


def _path(step: Mapping[str, Any], parts: Sequence[str]) -> Iterator[str | int]:
    holder: Any = step
    for part in parts:
        key: str | int = int(part) if isinstance(holder, list) and part.isdecimal() else part
        yield key
        if isinstance(holder, Mapping):
            holder = holder.get(part)
        else:
            holder = holder[key] if isinstance(key, int) and key < len(holder) else None


def _readings(text: str) -> list[Any]:
    """What a text may mean: a number, a list or the like where the field takes it, else the text itself."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return [text]
    return [text] if isinstance(value, str) else [value, text]


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _faults(spec: PipelineSpec, name: str) -> list[str]:
    return [fault.message for fault in catalog.attempt(spec.step(name), f"Step '{name}'", AnyStep)[1]]
