"""Answers made up without a model: always the same for the same row."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
DEEPEST = 8


def chosen(options: Sequence[T], seed: Any) -> T:
    """One of the options, picked by a hash of `seed`, such as what stands in the row."""
    text = json.dumps(seed, ensure_ascii=False, default=str, sort_keys=True)
    return options[int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) % len(options)]


def example_of(schema: Mapping[str, Any], seed: Any = "") -> Any:
    """A small value that fits a JSON Schema."""
    return _Example(schema, seed).value(schema, "", 0)


class _Example:
    def __init__(self, root: Mapping[str, Any], seed: Any) -> None:
        self._root = root
        self._seed = seed

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > 4 * DEEPEST:
            return None
        if "$ref" in schema:
            return self.value(self._resolved(str(schema["$ref"])), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return chosen(schema["enum"], [name, self._seed])
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                return self.value(self._ending(schema[word], depth), name, depth + 1)
        if schema.get("allOf"):
            whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                part = self._resolved(part["$ref"]) if "$ref" in part else part
                for key, value in part.items():
                    whole[key] = {**whole[key], **value} if isinstance(whole.get(key), dict) else value
            return self.value(whole, name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) else kind
        match kind:
            case "object":
                needed = schema.get("required", ()) if depth > DEEPEST else schema.get("properties", {})
                rules = schema.get("properties", {})
                return {key: self.value(rules.get(key, {}), key, depth + 1) for key in needed}
            case "array":
                count = schema.get("minItems", 0 if depth > DEEPEST else 1)
                return [self.value(schema.get("items", {}), name, depth + 1) for _ in range(count)]
            case "boolean":
                return chosen([True, False], [name, self._seed])
            case "null":
                return None
            case "integer" | "number":
                return self._number(schema, kind, name)
        text = str(name or "rehearsal")[: schema.get("maxLength", 100)]
        return text.ljust(schema.get("minLength", 0), ".")

    def _number(self, schema: Mapping[str, Any], kind: str, name: str) -> float | int:
        step = schema.get("multipleOf", 1)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            low = 0 if high is None or high > 0 else high - step
        first = -(-low // step) * step
        if first == schema.get("exclusiveMinimum"):
            first += step
        if kind == "number" and high is not None and first >= high:
            return float(low + high) / 2
        return int(first) if kind == "integer" else float(first)

    def _ending(self, options: Sequence[Any], depth: int) -> Any:
        # Deep inside a schema that names itself, only a branch that ends will do.
        ends = [option for option in options if isinstance(option, Mapping) and option.get("type") == "null"]
        return ends[0] if depth > DEEPEST and ends else options[0]

    def _resolved(self, ref: str) -> Any:
        found: Any = self._root
        for part in ref.removeprefix("#").strip("/").split("/"):
            if part:
                found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
        return found
