"""Whether a value fits a JSON Schema, and if not where, in words for a person."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

DEEPEST = 64


def misfit(value: Any, schema: Mapping[str, Any]) -> str:
    """Why a value does not fit a schema, in a few words that say where; empty when it fits."""
    return next(_misfits(value, schema, schema, "", 0), "")


KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, (int, float)) and value == value // 1,
}


def _misfits(value: Any, schema: Any, root: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
    here = _here(at)
    if schema is True or depth > DEEPEST:
        return
    if not isinstance(schema, Mapping):
        yield f"{here} should not be there"
        return
    if "$ref" in schema:
        yield from _misfits(value, _resolved(str(schema["$ref"]), root), root, at, depth + 1)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(KINDS.get(kind, lambda _: True)(value) for kind in kinds):
        yield f"{here} should be {' or '.join(kinds)}, not {shown(value)}"
        return
    if "enum" in schema and not any(_equal(value, one) for one in schema["enum"]):
        yield f"{here} should be one of {', '.join(shown(one) for one in schema['enum'])}, not {shown(value)}"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{here} should be {shown(schema['const'])}, not {shown(value)}"
    yield from _branches(value, schema, root, at, depth)
    if isinstance(value, dict):
        yield from _object(value, schema, root, at, depth)
    elif isinstance(value, list):
        yield from _array(value, schema, root, at, depth)
    elif isinstance(value, str):
        yield from _text(value, schema, here)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, here)


def _branches(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
    here = _here(at)

    def fits(option: Any) -> bool:
        return next(_misfits(value, option, root, at, depth + 1), None) is None

    for option in schema.get("allOf", ()):
        yield from _misfits(value, option, root, at, depth + 1)
    if "anyOf" in schema and not any(fits(option) for option in schema["anyOf"]):
        yield f"{here} fits none of the forms it may have"
    if "oneOf" in schema and sum(fits(option) for option in schema["oneOf"]) != 1:
        yield f"{here} should fit exactly one of the forms it may have"
    if "not" in schema and fits(schema["not"]):
        yield f"{here} has a form it must not have"


def _object(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str, depth: int
) -> Iterator[str]:
    where = f"{at}." if at else ""
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"'{where}{name}' is missing"
    for name, item in value.items():
        rule = properties[name] if name in properties else schema.get("additionalProperties", True)
        yield from _misfits(item, rule, root, f"{where}{name}", depth + 1)
    if len(value) < schema.get("minProperties", 0) or len(value) > schema.get("maxProperties", len(value)):
        yield f"{_here(at)} has the wrong number of fields ({len(value)})"


def _array(value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
    here = _here(at)
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not least <= len(value) <= most:
        bound = f"at least {least}" if len(value) < least else f"at most {most}"
        yield f"{here} should have {bound} items, not {len(value)}"
    different = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in value}
    if schema.get("uniqueItems") and len(different) < len(value):
        yield f"{here} says the same thing twice"
    first = schema.get("prefixItems", ())
    for index, item in enumerate(value):
        rule = first[index] if index < len(first) else schema.get("items", True)
        yield from _misfits(item, rule, root, f"{at}[{index}]", depth + 1)


def _text(value: str, schema: Mapping[str, Any], here: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"{here} should have at least {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{here} should have at most {schema['maxLength']} characters"
    if "pattern" in schema and not _matches(value, schema["pattern"]):
        yield f"{here} should match {schema['pattern']}, not {shown(value)}"


def _number(value: float, schema: Mapping[str, Any], here: str) -> Iterator[str]:
    rules: tuple[tuple[str, Callable[[float], bool], str], ...] = (
        ("minimum", lambda bound: value >= bound, "at least"),
        ("maximum", lambda bound: value <= bound, "at most"),
        ("exclusiveMinimum", lambda bound: value > bound, "more than"),
        ("exclusiveMaximum", lambda bound: value < bound, "less than"),
        ("multipleOf", lambda step: math.isclose(value / step, round(value / step), abs_tol=1e-9), "a multiple of"),
    )
    for word, holds, said in rules:
        if word in schema and not holds(schema[word]):
            yield f"{here} should be {said} {schema[word]}, not {shown(value)}"


def _resolved(ref: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in ref.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), True) if isinstance(found, Mapping) else True
    return found


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:  # a pattern of another dialect; the answer is not to blame
        return None


def _matches(text: str, pattern: str) -> bool:
    # pydantic's own engine takes linear time, so a pattern from a data set cannot hang a run.
    validator = _pattern(pattern)
    if validator is None:
        return True
    try:
        validator.validate_python(text)
    except ValidationError:
        return False
    return True


def _here(at: str) -> str:
    return f"'{at}'" if at else "the answer"


def shown(value: Any) -> str:
    """A value as a sentence may quote it."""
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
