"""Components as text: what `stillroom components` prints, and the docs show."""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.cli.program import DONE
from app.cli.screen import Screen, WrongUse, table
from components import catalog
from components.component import Component
from components.embeddings.embeddings import Embeddings
from components.errors import ConfigError
from components.llms.llm import LLM
from components.steps.step import AnyStep, GeneratorStep, Step
from components.steps.tasks.task import GeneratorTask, Task

CONTRACTS = (AnyStep, Step, GeneratorStep, Task, GeneratorTask, LLM, Embeddings)
KINDS = {"source": "Sources", "task": "Tasks", "step": "Steps", "llm": "Models", "embeddings": "Embeddings"}
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "nothing"}


@dataclass(frozen=True)
class Field:
    """A field of a component, in words."""

    name: str
    kind: str
    default: str
    """`needed` where the component cannot do without a value."""
    doc: str
    is_own: bool
    """Whether it is this component's own, or one that all of its kind have."""


def show(name: str | None, screen: Screen) -> int:
    """All components, or everything about one."""
    if name is None:
        found = {key: [catalog.describe(one) for one in named(key)] for key in KINDS}
        lists = {key: [{"name": one["name"], "doc": one["doc"]} for one in group] for key, group in found.items()}
        screen.answer({"components": lists}, "\n\n".join(_shelf(KINDS[key], group) for key, group in lists.items()))
        return DONE
    try:
        description = catalog.describe(name)
    except ConfigError as error:
        raise WrongUse(str(error)) from None
    screen.answer(description, "\n".join(_page(description)))
    return DONE


def named(kind: str) -> list[str]:
    """The names of all components of a kind: `source`, `task`, `step`, `llm` or `embeddings`."""
    return [name for name in catalog.names() if catalog.describe(name)["kind"] == kind]


def fields_of(name: str) -> list[Field]:
    """Every field of a component, its own before those of its kind, those that are needed first."""
    cls, schema = catalog.get(name), catalog.describe(name)["schema"]
    shared = {field for contract in CONTRACTS if issubclass(cls, contract) for field in contract.model_fields}
    fields = [
        field
        for field in _fields(schema["properties"], schema, shared - _declared(cls))
        if field.name != "name" or field.is_own
    ]
    return sorted(fields, key=lambda field: (not field.is_own, field.default != "needed"))


def columns_in_words(columns: Mapping[str, bool] | None) -> str:
    """Names of columns, those that may be missing in parentheses."""
    if columns is None:
        return "as its settings say"
    return ", ".join(name if needed else f"({name})" for name, needed in columns.items()) or "any"


def kind_in_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a JSON Schema takes, in a few words."""
    if "$ref" in schema:
        return kind_in_words(definitions[str(schema["$ref"]).rpartition("/")[2]], definitions)
    if "component" in schema:
        one = "model" if schema["component"] == "LLM" else str(schema["component"])
        return f"list of {one}s" if schema.get("many") else one
    if "anyOf" in schema:
        kinds = [kind_in_words(one, definitions) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds)) or "anything"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema.get("type") == "array":
        return f"list of {kind_in_words(schema.get('items', {}), definitions)}"
    if schema.get("type") == "object":
        return "group of fields" if schema.get("properties") else "names with values"
    kind = TYPES.get(str(schema.get("type")), "anything")
    bounds = _bounds(schema)
    return f"{kind}, {bounds}" if bounds else kind


def _declared(cls: type[Component]) -> set[str]:
    """Fields that a component declares anew, as it means something of its own by them."""
    return set(inspect.get_annotations(cls))


def _fields(
    properties: Mapping[str, Any], schema: Mapping[str, Any], shared: set[str], prefix: str = ""
) -> Iterator[Field]:
    needed = set(schema.get("required", ()))
    definitions = schema.get("$defs", {})
    for name, field in properties.items():
        if prefix == "" and name == "generation_kwargs" and field.get("properties"):
            inner = {"required": field.get("required", ()), "$defs": definitions}
            yield from _fields(field["properties"], inner, set(), "generation_kwargs.")
            continue
        default = "needed" if name in needed else _default(field)
        kind = kind_in_words(field, definitions)
        yield Field(f"{prefix}{name}", kind, default, field.get("description", ""), name not in shared)


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    return "" if value in (None, "", [], {}) else json.dumps(value, ensure_ascii=False)


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    parts = [f"at least {low}"] if low is not None else []
    parts += [f"above {schema['exclusiveMinimum']}"] if "exclusiveMinimum" in schema else []
    parts += [f"at most {high}"] if high is not None else []
    parts += [f"below {schema['exclusiveMaximum']}"] if "exclusiveMaximum" in schema else []
    return ", ".join(parts)


def _shelf(title: str, group: list[dict[str, str]]) -> str:
    lines = [[f"  {one['name']}", one["doc"].partition("\n")[0]] for one in group]
    return f"{title}\n{table(lines)}"


def _page(description: Mapping[str, Any]) -> Iterator[str]:
    yield f"{description['name']}: {description['doc']}"
    if description["source"]:
        yield f"Source: {description['source']}"
    if description["kind"] in ("task", "step"):
        yield f"Columns in: {columns_in_words(description['inputs'])}"
        yield f"Columns out: {columns_in_words(description['outputs'])}"
    fields = fields_of(description["name"])
    own, shared = [one for one in fields if one.is_own], [one for one in fields if not one.is_own]
    for title, group in (("Fields", own), ("Fields that all of its kind have", shared)):
        if group:
            yield f"\n{title}"
            for field in group:
                default = f" (default {field.default})" if field.default not in ("", "needed") else ""
                yield f"  {field.name}: {field.kind}{' (needed)' if field.default == 'needed' else default}"
                yield from (f"      {line}" for line in field.doc.splitlines())
    if description["runtime_parameters"]:
        yield "\nMay change from run to run: " + ", ".join(description["runtime_parameters"])
