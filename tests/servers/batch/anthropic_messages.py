"""Anthropic's Messages, to and from chat completions."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tests.servers.batch.native import Tongue, schema_format
from tests.servers.refusals import Refusal

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class AnthropicTongue(Tongue):
    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("x-api-key") or headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def chat(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        given = body.get("messages")
        messages = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        messages += [
            {"role": one.get("role"), "content": one.get("content")}
            for one in (given if isinstance(given, list) else [])
            if isinstance(one, dict)
        ]
        chat: dict[str, Any] = {"model": body.get("model"), "messages": messages, "max_tokens": body.get("max_tokens")}
        if body.get("stop_sequences"):
            chat["stop"] = body["stop_sequences"]
        chat |= {name: body[name] for name in ("temperature", "top_p", "top_k", "stream") if name in body}
        if schema := ((body.get("output_config") or {}).get("format") or {}).get("schema"):
            chat["response_format"] = schema_format(schema)
        if tool := forced_tool(body):
            chat |= {"response_format": schema_format(tool.get("input_schema") or {}), "forced_tool": tool["name"]}
        return chat

    def refusal(self, body: dict[str, Any], *, in_batch: bool = False) -> Refusal | None:
        for name in ("model", "max_tokens", "messages"):
            if body.get(name) is None:
                return Refusal(400, f"{name}: Field required")
        if not isinstance(body["messages"], list) or not body["messages"]:
            return Refusal(400, "messages: at least one message is required")
        if any(not isinstance(one, dict) or one.get("role") not in ("user", "assistant") for one in body["messages"]):
            return Refusal(400, "messages: Unexpected role. Use the top-level `system` parameter for a system prompt.")
        if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
            return Refusal(400, "max_tokens: Input should be greater than or equal to 1")
        if not 0 <= (body.get("temperature") or 0) <= 1:
            return Refusal(400, "temperature: range: 0..1")
        if in_batch and body.get("stream"):
            return Refusal(400, '"stream=True" is not supported in the Message Batches API')
        return None

    def reply(self, completion: dict[str, Any], *, in_batch: bool = False) -> dict[str, Any]:
        choice: dict[str, Any] = next(iter(completion["choices"]), {"message": {}, "finish_reason": "stop"})
        message, reason = choice["message"], STOP_REASONS.get(choice["finish_reason"], "end_turn")
        content: list[dict[str, Any]] = []
        if message.get("tool_calls"):
            content = [{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}]
        elif completion.get("forced_tool") and message.get("content"):
            given = as_json(message["content"])
            content = [{"type": "tool_use", "id": "toolu_1", "name": completion["forced_tool"], "input": given}]
            reason = reason if reason == "max_tokens" else "tool_use"
        elif message.get("content") is not None:
            content = [{"type": "text", "text": message["content"]}]
        if message.get("refusal"):
            reason = "refusal"
        usage = completion["usage"]
        return {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": completion["model"],
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {
                "input_tokens": usage["prompt_tokens"],
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": usage["completion_tokens"],
                "service_tier": "batch" if in_batch else "standard",
            },
        }

    def error_body(self, refusal: Refusal) -> dict[str, Any]:
        error = {"type": error_type(refusal), "message": refusal.message}
        return {"type": "error", "error": error, "request_id": f"req_{secrets.token_hex(12)}"}

    def bad_key(self, refusal: Refusal) -> Refusal:
        return Refusal(401, "API key is invalid.")

    def models(self, names: list[str]) -> dict[str, Any]:
        data = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
        ]
        return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def error_type(refusal: Refusal) -> str:
    return ERROR_TYPES.get(refusal.status, "api_error")


def forced_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """The tool that tool_choice insists on."""
    choice = body.get("tool_choice") or {}
    if choice.get("type") != "tool":
        return None
    return next((tool for tool in body.get("tools") or [] if tool.get("name") == choice.get("name")), None)


def as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}
