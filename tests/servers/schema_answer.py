"""A JSON value that fits a JSON schema: always the same one for the same schema and prompt."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

LONGEST_TEXT = 60


def schema_answer(schema: Mapping[str, Any], prompt: str) -> Any:
    """Enums, numbers and branches are chosen by a hash of the prompt; strings end with the end of the prompt."""
    return _Answer(schema, prompt).value(schema, "$", 0)


def schema_in_text(text: str) -> dict[str, Any] | None:
    """The last JSON schema of an object written out in a prompt, if there is one."""
    decoder = json.JSONDecoder()
    found: dict[str, Any] | None = None
    at = text.find("{")
    while at != -1:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("{", at + 1)
            continue
        if isinstance(value, dict) and isinstance(value.get("properties"), dict):
            found = value
        at = text.find("{", end)
    return found


class _Answer:
    def __init__(self, root: Mapping[str, Any], prompt: str) -> None:
        self.root = root
        self.prompt = prompt

    def choice(self, path: str, count: int) -> int:
        digest = hashlib.blake2b(f"{self.prompt}|{path}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) % count

    def value(self, schema: Mapping[str, Any] | bool, path: str, depth: int) -> Any:
        if isinstance(schema, bool):
            return None
        if depth > 64:
            raise ValueError(f"the schema at {path} never ends")
        if "$ref" in schema:
            return self.value(self.resolve(schema["$ref"]), path, depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][self.choice(path, len(schema["enum"]))]
        for word in ("anyOf", "oneOf"):
            if word in schema:
                branches = self.branches(schema[word], depth)
                return self.value(branches[self.choice(path, len(branches))], path, depth + 1)
        if "allOf" in schema:
            return self.value(self.merged(schema), path, depth + 1)
        return self.typed(schema, path, depth)

    def branches(self, options: list[Any], depth: int) -> list[Any]:
        # Deep inside a recursive schema only a branch that ends may be taken.
        if depth < 12:
            return options
        return [o for o in options if isinstance(o, dict) and o.get("type") == "null"] or options

    def typed(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[self.choice(path, len(kind))]
        match kind:
            case "object":
                return {
                    name: self.value(part, f"{path}.{name}", depth + 1)
                    for name, part in schema.get("properties", {}).items()
                }
            case "array":
                return self.items(schema, path, depth)
            case "integer":
                return self.integer(schema, path)
            case "number":
                return self.number(schema, path)
            case "boolean":
                return bool(self.choice(path, 2))
            case "null":
                return None
        return self.text(schema, path)

    def items(self, schema: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0 if depth > 12 else 1)
        most = max(least, min(schema.get("maxItems", least + 1), least + 1))
        count = least + self.choice(f"{path}#", most - least + 1)
        found: list[Any] = []
        for index in range(count * 8 if schema.get("uniqueItems") else count):
            value = self.value(schema.get("items", {"type": "string"}), f"{path}[{index}]", depth + 1)
            if not schema.get("uniqueItems") or value not in found:
                found.append(value)
            if len(found) == count:
                break
        return found

    def integer(self, schema: Mapping[str, Any], path: str) -> int:
        low, high = self.bounds(schema)
        first = math.floor(low) + 1 if low == schema.get("exclusiveMinimum") else math.ceil(low)
        last = math.ceil(high) - 1 if high == schema.get("exclusiveMaximum") else math.floor(high)
        step = int(schema.get("multipleOf", 1)) or 1
        first += -first % step
        return first + step * self.choice(path, max(0, (last - first) // step) + 1)

    def number(self, schema: Mapping[str, Any], path: str) -> float:
        low, high = self.bounds(schema)
        return low + (high - low) * (1 + self.choice(path, 3)) / 4

    def bounds(self, schema: Mapping[str, Any]) -> tuple[float, float]:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            low = 0 if high is None or high >= 0 else high - 10
        return low, low + 10 if high is None else high

    def text(self, schema: Mapping[str, Any], path: str) -> str:
        name = path.rsplit(".", 1)[-1].strip("$")
        end = " ".join(self.prompt.split())[-LONGEST_TEXT:]
        text = f"{name}: {end}" if name else end
        return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), ".")

    def resolve(self, ref: str) -> Any:
        found: Any = self.root
        for part in ref.removeprefix("#").strip("/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
        return found

    def merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            part = self.resolve(part["$ref"]) if "$ref" in part else part
            for key, value in part.items():
                whole[key] = {**whole.get(key, {}), **value} if isinstance(value, dict) else value
        return whole
