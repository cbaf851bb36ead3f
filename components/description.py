"""What a component says about itself, for forms and docs: JSON Schema, columns and runtime parameters."""

import inspect
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, get_args, get_origin

from components.component import Component, component_fields, is_runtime
from components.embeddings.embeddings import Embeddings
from components.llms.llm import LLM
from components.steps.building import pipeline_being_built
from components.steps.step import AnyStep, GeneratorStep, as_columns
from components.steps.tasks.task import GeneratorTask, Task

KINDS: dict[str, tuple[type[Component], ...]] = {
    "llm": (LLM,),
    "embeddings": (Embeddings,),
    "task": (Task, GeneratorTask),
    "source": (GeneratorStep,),
    "step": (AnyStep,),
}
SAID_OF_A_PART = ("title", "description", "runtime", "incidental")


def describe(cls: type[Component]) -> dict[str, Any]:
    """All that a gallery page, a form and a command line need to know of a component.

    `inputs` and `outputs` are None where they depend on settings or data.
    """
    return deepcopy(_described(cls))


@cache
def _described(cls: type[Component]) -> dict[str, Any]:
    return {
        "name": cls.__name__,
        "kind": kind_of(cls),
        "category": cls.category,
        "doc": inspect.getdoc(cls) or "",
        "source": cls.source,
        "schema": schema_of(cls),
        "inputs": _declared_columns(cls, "inputs"),
        "outputs": _declared_columns(cls, "outputs"),
        "runtime_parameters": list(_runtime_parameters(cls)),
    }


def kind_of(cls: type[Component]) -> str:
    """What a component is for: `llm`, `embeddings`, `task`, `source` or `step`."""
    return next((kind for kind, bases in KINDS.items() if issubclass(cls, bases)), "part")


def schema_of(cls: type[Component]) -> dict[str, Any]:
    """The JSON Schema of a component's fields.

    A field that holds a component of choice has `component`, the kind to choose among, and `many` where it is a list.
    """
    schema = cls.model_json_schema()
    properties = schema.setdefault("properties", {})
    for name, field in cls.model_fields.items():
        if field.exclude:
            properties.pop(name, None)
    for name, held in component_fields(cls).items():
        if name in properties and is_chosen(held):
            said = {key: properties[name][key] for key in SAID_OF_A_PART if key in properties[name]}
            many = _is_list(cls.model_fields[name].annotation)
            properties[name] = said | {"component": held.__name__, "many": many}
    definitions = schema.pop("$defs", {})
    used: dict[str, Any] = {}
    waiting = list(_references(properties))
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = definitions[name]
            waiting += _references(used[name])
    return schema | ({"$defs": used} if used else {})


def is_chosen(cls: type[Component]) -> bool:
    """Whether somebody chooses which component stands in a field of this class, or it is always this one."""
    return cls is Component or inspect.isabstract(cls) or bool(cls.category)


def _is_list(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _declared_columns(cls: type[Component], side: str) -> dict[str, bool] | None:
    # What a source makes depends on its data, and asking would open files and load large packages.
    if not issubclass(cls, AnyStep) or (issubclass(cls, GeneratorStep) and not issubclass(cls, GeneratorTask)):
        return None
    token = pipeline_being_built.set(None)
    try:
        return as_columns(getattr(cls.model_construct(), side))
    except Exception:
        # A step without its required settings may fail in any way when asked for columns that depend on them.
        return None
    finally:
        pipeline_being_built.reset(token)


def _runtime_parameters(cls: type[Component]) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        if name == "generation_kwargs" and issubclass(cls, LLM):
            yield from (f"{name}.{key}" for key in cls.generation_model().model_fields)
        elif is_runtime(field):
            yield name
