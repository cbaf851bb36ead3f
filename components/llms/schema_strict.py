"""A JSON Schema in the form that strict servers enforce."""

from collections.abc import Mapping
from typing import Any

DROPPED = frozenset(
    {
        "title", "default", "examples", "discriminator", "minLength", "maxLength", "uniqueItems", "contains",
        "minContains", "maxContains", "minProperties", "maxProperties", "propertyNames", "readOnly", "writeOnly",
        "deprecated", "$schema", "$id", "$comment",
    }
)  # fmt: skip
"""Words that strict mode does not take and an answer does not need: values are checked when they come back."""
NOT_STRICT = frozenset(
    {
        "allOf", "not", "if", "then", "else", "patternProperties", "dependentRequired", "dependentSchemas",
        "unevaluatedProperties", "unevaluatedItems", "prefixItems",
    }
)  # fmt: skip
DEEPEST = 64


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as strict mode wants it, every object closed and every property required.

    None where that would change what it means: open objects, and optional properties without a default or null.
    """
    try:
        strict: dict[str, Any] = _strict(schema, 0)
    except _NotStrict:
        return None
    return strict


class _NotStrict(Exception):
    pass


def _strict(schema: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or not schema or NOT_STRICT & schema.keys() or depth > DEEPEST:
        raise _NotStrict
    strict = {key: value for key, value in schema.items() if key not in DROPPED}
    if "$ref" in strict:
        return {"$ref": strict["$ref"]} | ({"$defs": _each(strict["$defs"], depth)} if "$defs" in strict else {})
    if "oneOf" in strict:
        strict["anyOf"] = strict.pop("oneOf")
    if "anyOf" in strict:
        strict["anyOf"] = [_strict(option, depth + 1) for option in strict["anyOf"]]
    if "$defs" in strict:
        strict["$defs"] = _each(strict["$defs"], depth)
    if isinstance(strict.get("items"), Mapping):
        strict["items"] = _strict(strict["items"], depth + 1)
    elif strict.get("type") == "array":
        raise _NotStrict
    if strict.get("type") == "object" or "properties" in strict:
        properties = schema.get("properties")
        if not properties or schema.get("additionalProperties", False) is not False:
            raise _NotStrict
        required = schema.get("required", [])
        if any(name not in required and not _may_be_left(part, schema) for name, part in properties.items()):
            raise _NotStrict
        strict["properties"] = _each(properties, depth)
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict


def _each(parts: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {name: _strict(part, depth + 1) for name, part in parts.items()}


def _may_be_left(part: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a property that need not be there has a value that says so."""
    if not isinstance(part, Mapping):
        return False
    kind = part.get("type")
    return (
        "default" in part
        or kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(isinstance(option, Mapping) and option.get("type") == "null" for option in part.get("anyOf", ()))
    )
