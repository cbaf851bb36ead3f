"""What a form asks for: one field for each property of a component's JSON Schema, of the kind that suits it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Path = tuple[str, ...]
Schema = Mapping[str, Any]

SPOKEN: Final = {"n": "Most labels"}
"""Names of fields that say nothing to somebody who did not write them."""
INITIALS: Final = {"llm": "LLM", "url": "URL", "id": "ID", "ids": "IDs", "api": "API", "json": "JSON"}


class Kind(StrEnum):
    """How a field is entered."""

    TEXT = "text"
    MULTILINE = "multiline"
    SECRET = "secret"
    SWITCH = "switch"
    CHOICE = "choice"
    INTEGER = "integer"
    NUMBER = "number"
    RANGE = "range"
    LINES = "lines"
    PAIRS = "pairs"
    LABELS = "labels"
    COLUMN = "column"
    COLUMNS = "columns"
    DATA_FILE = "data_file"
    MODEL = "model"
    COMPONENT = "component"
    JSON = "json"


UI_KINDS: Final = {kind.value: kind for kind in Kind} | {"json_schema": Kind.JSON}


@dataclass(frozen=True)
class Field:
    """One thing a person can set."""

    path: Path
    """Where its value stands in the component's data."""
    label: str
    kind: Kind
    help: str = ""
    default: Any = None
    is_required: bool = False
    is_optional: bool = False
    """It may be left without a value."""
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    is_runtime: bool = False
    """Its value may change from run to run."""
    wanted: str = ""
    """The kind of component that stands here."""
    is_many: bool = False

    @property
    def is_slider(self) -> bool:
        """A number between two bounds; one that may be left open needs a place for nothing, so it is typed."""
        return self.kind is Kind.RANGE and not self.is_optional


def fields_of(schema: Schema, at: Path = ()) -> list[Field]:
    """Every field of a component, those of nested objects after it; `at` is where the component stands."""
    definitions = schema.get("$defs", {})
    return list(_walk(schema, at, definitions, is_runtime=False))


def label_of(name: str) -> str:
    """`max_new_tokens` as "Max new tokens"."""
    if name in SPOKEN:
        return SPOKEN[name]
    words = [INITIALS.get(word, word) for word in name.split("_") if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def _walk(owner: Schema, at: Path, definitions: Schema, *, is_runtime: bool) -> Iterator[Field]:
    required = owner.get("required", ())
    for name, said in owner.get("properties", {}).items():
        path = (*at, name)
        alternatives, is_optional = _alternatives(said, definitions)
        schema = {**(alternatives[0] if len(alternatives) == 1 else {}), **said}
        runtime = is_runtime or bool(said.get("runtime"))
        if schema.get("type") == "object" and "properties" in schema:
            yield from _walk(schema, path, definitions, is_runtime=runtime)
            continue
        kind, choices = _kind(schema, alternatives, definitions)
        yield Field(
            path=path,
            label=label_of(name),
            kind=kind,
            help=str(said.get("description", "")),
            default=said.get("default"),
            is_required=name in required,
            is_optional=is_optional,
            choices=choices,
            low=schema.get("minimum", schema.get("exclusiveMinimum")),
            high=schema.get("maximum", schema.get("exclusiveMaximum")),
            is_runtime=runtime,
            wanted=str(said.get("component", "")),
            is_many=bool(said.get("many")),
        )


def _alternatives(said: Schema, definitions: Schema) -> tuple[list[Schema], bool]:
    """The schemas that a value may follow, and whether it may be null."""
    found = [_resolved(option, definitions) for option in said.get("anyOf", [said])]
    return [option for option in found if option.get("type") != "null"], len(found) > 1 and any(
        option.get("type") == "null" for option in found
    )


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    seen = 0
    while "$ref" in schema and seen < 20:
        target = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        seen += 1
    return schema


def _kind(schema: Schema, alternatives: list[Schema], definitions: Schema) -> tuple[Kind, tuple[Any, ...]]:
    if "component" in schema:
        return (Kind.JSON if schema.get("many") else Kind.COMPONENT), ()
    hints = [schema.get("ui"), *(option.get("ui") for option in alternatives)]
    hinted = next((UI_KINDS[hint] for hint in hints if hint in UI_KINDS), None)
    if hinted is not None and (schema.get("ui") in UI_KINDS or hinted is Kind.DATA_FILE):
        return hinted, ()
    if len(alternatives) == 1:
        return _plain_kind(_resolved(schema, definitions))
    if alternatives and {_plain_kind(option)[0] for option in alternatives} == {Kind.TEXT, Kind.LINES}:
        return Kind.LINES, ()
    return Kind.JSON, ()


def _plain_kind(schema: Schema) -> tuple[Kind, tuple[Any, ...]]:
    if schema.get("ui") in UI_KINDS:
        return UI_KINDS[schema["ui"]], ()
    if "enum" in schema or "const" in schema:
        return Kind.CHOICE, tuple(schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "string":
            return (Kind.SECRET if schema.get("format") == "password" else Kind.TEXT), ()
        case "boolean":
            return Kind.SWITCH, ()
        case "integer":
            return Kind.INTEGER, ()
        case "number":
            has_range = all(
                any(f"{word}{end}" in schema for word in ("m", "exclusiveM")) for end in ("inimum", "aximum")
            )
            return (Kind.RANGE if has_range else Kind.NUMBER), ()
        case "array" if schema.get("items", {}).get("type") == "string":
            return Kind.LINES, ()
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            return (Kind.PAIRS if schema["additionalProperties"].get("type") == "string" else Kind.JSON), ()
    return Kind.JSON, ()
