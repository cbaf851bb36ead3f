"""Gemini's generateContent and embedContent, to and from OpenAI's shapes."""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.servers.batch.native import Tongue, schema_format
from tests.servers.refusals import Refusal

FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}
STATUSES = {
    400: ("INVALID_ARGUMENT", 3),
    401: ("UNAUTHENTICATED", 16),
    403: ("PERMISSION_DENIED", 7),
    404: ("NOT_FOUND", 5),
    409: ("ABORTED", 10),
    429: ("RESOURCE_EXHAUSTED", 8),
    500: ("INTERNAL", 13),
    503: ("UNAVAILABLE", 14),
}
OPTIONS = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
    "seed": "seed",
    "candidateCount": "n",
}


class GeminiTongue(Tongue):
    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key") or query.get("key") or ""

    def chat(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        model = model.removeprefix("models/")
        if "content" in body:
            return {"model": model, "input": text_of(body["content"]), "dimensions": body.get("outputDimensionality")}
        contents = body.get("contents")
        system = body.get("systemInstruction") or body.get("system_instruction")
        messages = [{"role": "system", "content": text_of(system)}] if system else []
        messages += [
            {"role": "assistant" if one.get("role") == "model" else "user", "content": text_of(one)}
            for one in (contents if isinstance(contents, list) else [])
            if isinstance(one, dict)
        ]
        config = body.get("generationConfig") or body.get("generation_config") or {}
        chat: dict[str, Any] = {"model": model, "messages": messages}
        chat |= {name: config[given] for given, name in OPTIONS.items() if config.get(given) is not None}
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        if schema:
            chat["response_format"] = schema_format(schema)
        elif config.get("responseMimeType") == "application/json":
            chat["response_format"] = {"type": "json_object"}
        return chat

    def refusal(self, body: dict[str, Any], *, in_batch: bool = False) -> Refusal | None:
        if "content" in body:
            return None
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents or not all(isinstance(one, dict) for one in contents):
            return Refusal(400, "* GenerateContentRequest.contents: contents is not specified")
        if any(one.get("role") not in (None, "user", "model") for one in contents):
            return Refusal(400, "Please use a valid role: user, model.")
        return None

    def reply(self, completion: dict[str, Any], *, in_batch: bool = False) -> dict[str, Any]:
        if "data" in completion:
            return {"embedding": {"values": completion["data"][0]["embedding"]}}
        usage = completion["usage"]
        unseen = usage["completion_tokens_details"]["reasoning_tokens"]
        counts = {
            "promptTokenCount": usage["prompt_tokens"],
            "candidatesTokenCount": usage["completion_tokens"] - unseen,
            "totalTokenCount": usage["total_tokens"],
        }
        found = {
            "candidates": [candidate(choice) for choice in completion["choices"]],
            "usageMetadata": {**counts, "thoughtsTokenCount": unseen} if unseen else counts,
            "modelVersion": completion["model"],
            "responseId": secrets.token_urlsafe(16),
        }
        if not found["candidates"]:
            del found["candidates"]
        return found

    def error_body(self, refusal: Refusal) -> dict[str, Any]:
        status, _ = status_of(refusal.status)
        error: dict[str, Any] = {"code": refusal.status, "message": refusal.message, "status": status}
        if refusal.code == "API_KEY_INVALID":
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            error["details"] = [{"@type": kind, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
        return {"error": error}

    def bad_key(self, refusal: Refusal) -> Refusal:
        return Refusal(400, "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID")

    def models(self, names: list[str]) -> dict[str, Any]:
        methods = ["generateContent", "countTokens", "batchGenerateContent"]
        return {
            "models": [
                {
                    "name": f"models/{name}",
                    "version": "001",
                    "displayName": name,
                    "inputTokenLimit": 1_048_576,
                    "outputTokenLimit": 65_536,
                    "supportedGenerationMethods": methods,
                }
                for name in names
            ]
        }


def candidate(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    reason = "SAFETY" if message.get("refusal") else FINISH_REASONS.get(choice["finish_reason"], "STOP")
    found = {"finishReason": reason, "index": choice["index"]}
    if message.get("content") is None or reason == "SAFETY":
        return found
    return {"content": {"role": "model", "parts": [{"text": message["content"]}]}, **found}


def text_of(content: Any) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    return "".join(str(part.get("text", "")) for part in parts or [] if isinstance(part, dict))


def status_of(status: int) -> tuple[str, int]:
    """Google's name and number of an HTTP status."""
    return STATUSES.get(status, ("UNKNOWN", 2))
