"""Requests that are refused before anything is generated, in OpenAI's words and error shape."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.servers import answers
from tests.servers.behavior import Behavior


@dataclass(frozen=True)
class Refusal:
    """An HTTP error with OpenAI's error object."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


NO_KEY = Refusal(401, "You didn't provide an API key. You need to provide your API key in an Authorization header.")
REASONING_REFUSES = (
    "stop",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "top_p",
)


def bad_key(key: str) -> Refusal:
    shown = f"{key[:8]}{'*' * 8}{key[-4:]}"
    return Refusal(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")


def unknown_model(model: str) -> Refusal:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, message, code="model_not_found")


def context_too_long(limit: int, asked: int) -> Refusal:
    message = (
        f"This model's maximum context length is {limit} tokens. However, your messages resulted in {asked} tokens. "
        "Please reduce the length of the messages."
    )
    return Refusal(400, message, param="messages", code="context_length_exceeded")


def unsupported_parameter(name: str, instead: str = "") -> Refusal:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
    return Refusal(400, message, param=name, code="unsupported_parameter")


def refusal(body: Mapping[str, Any], behavior: Behavior) -> Refusal | None:
    """The first reason to refuse, or None."""
    return next(_refusals(dict(body), behavior), None)


def key_refusal(key: str, behavior: Behavior) -> Refusal | None:
    if behavior.keys is None or key in behavior.keys:
        return None
    return bad_key(key) if key else NO_KEY


def _refusals(body: dict[str, Any], behavior: Behavior) -> Iterator[Refusal]:
    model = body.get("model") or ""
    if not model:
        yield Refusal(400, "you must provide a model parameter")
    if behavior.models is not None and model not in behavior.models:
        yield unknown_model(model)
    if body.get("stream"):
        yield Refusal(400, "This server does not stream.", param="stream", code="unsupported_value")
    for name in behavior.refuses:
        if body.get(name) is not None:
            yield unsupported_parameter(name)
    if (body.get("n") or 1) > 1 and not behavior.has_n:
        yield Refusal(400, "Only n = 1 is supported.", param="n", code="unsupported_value")
    if behavior.is_reasoning(model):
        yield from _reasoning(body)
    yield from _response_format(body, behavior)
    yield from _context(body, behavior)


def _reasoning(body: dict[str, Any]) -> Iterator[Refusal]:
    if body.get("max_tokens") is not None:
        yield unsupported_parameter("max_tokens", " Use 'max_completion_tokens' instead.")
    temperature = body.get("temperature")
    if temperature is not None and temperature != 1:
        message = (
            f"Unsupported value: 'temperature' does not support {temperature} with this model. "
            "Only the default (1) value is supported."
        )
        yield Refusal(400, message, param="temperature", code="unsupported_value")
    for name in REASONING_REFUSES:
        if body.get(name):
            yield unsupported_parameter(name)


def _response_format(body: dict[str, Any], behavior: Behavior) -> Iterator[Refusal]:
    wanted = body.get("response_format") or {}
    kind = wanted.get("type", "text")
    if kind not in ("text", "json_object", "json_schema"):
        yield Refusal(400, f"Invalid value: '{kind}'.", param="response_format.type", code="invalid_value")
    if (kind == "json_schema" and not behavior.has_json_schema) or (
        kind == "json_object" and not behavior.has_json_object
    ):
        message = f"Invalid parameter: 'response_format' of type '{kind}' is not supported with this model."
        yield Refusal(400, message, param="response_format")
    if not behavior.checks_schemas:
        return
    said = " ".join(answers.message_text(message) for message in body.get("messages") or [])
    if kind == "json_object" and "json" not in said.lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        yield Refusal(400, message, param="messages")
    if kind == "json_schema":
        yield from _schema(wanted.get("json_schema"))


def _schema(given: Any) -> Iterator[Refusal]:
    if not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
        name = "response_format.json_schema"
        yield Refusal(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
        return
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", given.get("name") or ""):
        message = "Invalid 'response_format.json_schema.name': string does not match pattern '^[a-zA-Z0-9_-]+$'."
        yield Refusal(400, message, param="response_format.json_schema.name", code="invalid_value")
    if given.get("strict"):
        for where, fault in strict_faults(given["schema"], ()):
            message = f"Invalid schema for response_format '{given.get('name')}': In context={where}, {fault}"
            yield Refusal(400, message, param="response_format", code="invalid_json_schema")


def strict_faults(schema: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What strict mode does not take: every object closed, and every property required."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            yield where, "'additionalProperties' is required to be supplied and to be false."
        missing = set(schema.get("properties", {})) - set(schema.get("required", []))
        if missing:
            yield where, f"'required' must include every key in properties. Missing '{min(missing)}'."
    for word in ("properties", "$defs"):
        for name, part in schema.get(word, {}).items():
            yield from strict_faults(part, (*where, word, name))
    yield from strict_faults(schema.get("items"), (*where, "items"))
    for index, part in enumerate(schema.get("anyOf", [])):
        yield from strict_faults(part, (*where, "anyOf", str(index)))


def _context(body: dict[str, Any], behavior: Behavior) -> Iterator[Refusal]:
    if behavior.context_tokens is None:
        return
    asked = answers.usage(body, (), reasoning=False)["prompt_tokens"]
    if asked > behavior.context_tokens:
        yield context_too_long(behavior.context_tokens, asked)
