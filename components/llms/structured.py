"""Structured output: how to ask for it, from the surest way to the plainest, and how to read what came."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from components.component import explain
from components.errors import ConfigError, CutOff, ReplyError
from components.llms.schema_check import misfit
from components.llms.schema_strict import strict_schema
from components.llms.typing import ChatItem


class Rung(IntEnum):
    """The ways to ask, from the surest down."""

    JSON_SCHEMA = 0
    JSON_OBJECT = 1
    PROMPT = 2


class Form:
    """The form an answer must take: a JSON Schema, and what it was made from."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.schema = json_schema(given)
        self.text = orjson.dumps(self.schema, option=orjson.OPT_SORT_KEYS).decode()
        self.digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        self.is_object = self.schema.get("type") == "object" or "properties" in self.schema
        self.strict = strict_schema(self.schema) if self.is_object else None

    @property
    def name(self) -> str:
        """A name as providers allow it."""
        return re.sub(r"[^a-zA-Z0-9_-]+", "_", str(self.schema.get("title") or "answer")).strip("_")[:64] or "answer"

    def response_format(self, rung: Rung, *, is_strict: bool = True) -> dict[str, Any] | None:
        """The `response_format` of a rung, as it is for a server that is not strict; None where the prompt must do."""
        if rung is Rung.JSON_SCHEMA:
            strict = self.strict if is_strict else None
            schema = {"name": self.name, "schema": strict or self.schema, "strict": strict is not None}
            return {"type": "json_schema", "json_schema": schema}
        return {"type": "json_object"} if rung is Rung.JSON_OBJECT else None

    def messages(self, rung: Rung, messages: Sequence[ChatItem]) -> list[ChatItem]:
        """The messages, with the schema written out where the rung needs that."""
        if rung is Rung.JSON_SCHEMA:
            return list(messages)
        told = f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{self.text}"
        if messages and messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
            first: ChatItem = {**messages[0], "content": f"{messages[0]['content']}\n\n{told}"}
            return [first, *messages[1:]]
        return [{"role": "system", "content": told}, *messages]


UNUSED = ("mode", "max_retries", "whitespace_pattern")
"""What the older library handed on to the packages that it used for forms."""


def form_of(structured_output: Any) -> Form | None:
    """The form that `structured_output` asks for; None where it asks for nothing.

    Raises: ConfigError for a form that is no JSON.
    """
    if structured_output is None:
        return None
    if isinstance(structured_output, Mapping) and structured_output.get("format", "json") != "json":
        raise ConfigError(
            f"structured_output has the format '{structured_output['format']}', which this model cannot enforce. "
            "Give a JSON Schema."
        )
    given = structured_output
    if isinstance(given, Mapping) and "schema" in given:
        for name in UNUSED:
            if given.get(name) is not None:
                raise ConfigError(f"structured_output has '{name}', which changes nothing here. Leave it out.")
        given = given["schema"]
    if isinstance(given, type):
        return _form_of_class(given)
    try:
        return _form_of_text(given if isinstance(given, str) else orjson.dumps(given).decode())
    except (TypeError, ValueError):
        raise ConfigError("structured_output must hold a pydantic model or a JSON Schema.") from None


def json_schema(given: Any) -> dict[str, Any]:
    """A pydantic model, or any type that pydantic knows, as JSON Schema; a JSON Schema as it is."""
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, type) and issubclass(given, BaseModel):
        return given.model_json_schema()
    return TypeAdapter(given).json_schema()


def parse_json(text: str | None, finish_reason: str | None = None, schema: Any = None) -> tuple[Any, bool]:
    """The JSON value of an answer that fits the schema, and whether it had to be repaired.

    Fences and talk around the value are taken off; broken JSON is repaired only when the model ended by itself
    (`stop`), so that a cut answer is never taken for a whole one. `schema` is a pydantic model, a JSON Schema, or
    `{"format": "json", "schema": …}`.
    Raises: ReplyError with one sentence.
    """
    if isinstance(schema, Mapping) and "schema" in schema and "properties" not in schema:
        schema = schema["schema"]
    if not text or not text.strip():
        raise ReplyError("The answer is empty.")
    value = _strict_json(text)
    if finish_reason == "length":
        if not isinstance(value, (dict, list)):
            raise CutOff()
        return fitted(value, schema), False
    if value is not _NOTHING:
        return fitted(value, schema), False
    value = _inside(text, schema)
    if value is not _NOTHING:
        return fitted(value, schema), False
    if finish_reason == "stop":
        value = _repaired(text)
        if value is not _NOTHING:
            return fitted(value, schema), True
    raise ReplyError("The answer is not JSON.")


def json_text(text: str, finish_reason: str | None, schema: Any) -> str:
    """The JSON of an answer that fits the schema, as text; as the model wrote it where it wrote nothing else.

    Raises: ReplyError as `parse_json` does.
    """
    value, _ = parse_json(text, finish_reason, schema)
    if _strict_json(text) is not _NOTHING:
        return text.strip()
    return orjson.dumps(value).decode()


def fitted(value: Any, schema: Any) -> Any:
    """The value as plain data once it fits the schema. Raises: ReplyError that says where it does not."""
    if not _is_finite(value):
        raise ReplyError("The answer holds a number that is no number (NaN or Infinity).")
    if schema is None:
        return value
    if isinstance(schema, Mapping):
        reason = misfit(value, schema)
        if reason:
            raise ReplyError(f"The answer does not fit its schema: {reason}.")
        return value
    adapter = _adapter(schema)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        model = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else BaseModel
        reason = explain(model, error, "The answer")
    raise ReplyError(reason)


_NOTHING = object()
FENCE = re.compile(r"```[a-zA-Z0-9_+-]*[ \t]*\r?\n(.*?)```", re.DOTALL)
THOUGHT = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
BRACKET = re.compile(r"[{\[]")


def _strict_json(text: str) -> Any:
    try:
        return orjson.loads(text.strip().removeprefix("\ufeff"))
    except ValueError:
        return _NOTHING


def _inside(text: str, schema: Any) -> Any:
    """The one JSON value inside fences or talk, nothing where there is none. Raises: ReplyError for several."""
    text = THOUGHT.sub("", text, count=1)
    fenced = [value for block in FENCE.findall(text) if (value := _strict_json(block)) is not _NOTHING]
    found = fenced or list(_values(text))
    if len(found) > 1:
        found = [value for value in found if _fits(value, schema)] or found
    if any(value != found[0] for value in found):
        raise ReplyError("The answer holds several JSON values that differ.")
    return found[0] if found else _NOTHING


def _fits(value: Any, schema: Any) -> bool:
    try:
        fitted(value, schema)
    except ReplyError:
        return False
    return True


def _values(text: str) -> Iterator[Any]:
    """Whole objects and arrays from left to right, up to the first that does not end."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    at = 0
    while opening := BRACKET.search(text, at):
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            # What stands inside a value that breaks off is a part of it, not an answer.
            return
        yield value


def _repaired(text: str) -> Any:
    """What json_repair makes of the answer, if that is an object or an array with something in it."""
    from json_repair import repair_json

    text = THOUGHT.sub("", text, count=1)
    fences = FENCE.findall(text)
    opening = BRACKET.search(fences[0] if len(fences) == 1 else text)
    if opening is None:
        return _NOTHING
    try:
        value = repair_json(opening.string[opening.start() :], return_objects=True)
    except (ValueError, RecursionError):
        return _NOTHING
    return value if isinstance(value, (dict, list)) and value else _NOTHING


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_finite(item) for item in value)
    return True


@lru_cache(maxsize=256)
def _form_of_class(given: type) -> Form:
    return Form(given)


@lru_cache(maxsize=256)
def _form_of_text(text: str) -> Form:
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return Form(value)


@lru_cache(maxsize=256)
def _adapter(given: Any) -> TypeAdapter[Any]:
    return TypeAdapter(given)
