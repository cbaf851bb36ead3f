"""The bodies of good answers: chat completions, completions, embeddings, models."""

import base64
import hashlib
import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CREATED = 1_760_000_000
REASONING_TOKENS = 8
MODELS = ("gpt-4o-mini", "gpt-5-mini", "text-embedding-3-small")


@dataclass(frozen=True)
class Reply:
    """One choice. `delay_ms` is added to the server's latency; `usage` is (prompt, completion) tokens as reported."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None
    delay_ms: float = 0.0
    usage: tuple[int, int] | None = None


def tokens(text: str) -> list[str]:
    """Words and signs, each with the space before it; joined they are the text again."""
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


def message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def last_user_text(body: dict[str, Any]) -> str:
    """What the user said last, or the prompt of a plain completion, or the first text to embed."""
    for message in reversed(body.get("messages") or []):
        if message.get("role") == "user":
            return message_text(message)
    given = body.get("prompt") or body.get("input") or ""
    return given if isinstance(given, str) else str(next(iter(given), ""))


def budget(body: dict[str, Any], reasoning: bool) -> int | None:
    """How many tokens may be seen of an answer; a reasoning model spends some of them unseen."""
    most: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    if most is None:
        return None
    return max(0, most - REASONING_TOKENS) if reasoning else most


def shortened(reply: Reply, body: dict[str, Any], most: int | None) -> Reply:
    """The reply as `stop` and the token budget leave it."""
    if reply.text is None:
        return reply
    text, reason = reply.text, reply.finish_reason
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    words = tokens(text)
    if most is not None and len(words) > most:
        text, reason = "".join(words[:most]), "length"
    return Reply(text, reason, reply.refusal, reply.delay_ms, reply.usage)


def usage(body: dict[str, Any], replies: Sequence[Reply], reasoning: bool) -> dict[str, Any]:
    said = body.get("messages") or []
    prompt = sum(len(tokens(message_text(m))) + 3 for m in said) or len(tokens(last_user_text(body)))
    unseen = REASONING_TOKENS * len(replies) if reasoning else 0
    completion = sum(len(tokens(r.text or r.refusal or "")) for r in replies) + unseen
    reported = next((r.usage for r in replies if r.usage is not None), None)
    if reported is not None:
        prompt, completion = reported
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": unseen, "audio_tokens": 0},
    }


def chat_completion(body: dict[str, Any], replies: Sequence[Reply], seq: int, reasoning: bool) -> dict[str, Any]:
    answer = {
        "id": f"chatcmpl-{seq:08d}",
        "object": "chat.completion",
        "created": CREATED,
        "model": body.get("model", ""),
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": reply.text,
                    "refusal": reply.refusal,
                    "annotations": [],
                },
                "logprobs": _chat_logprobs(reply, body) if body.get("logprobs") else None,
                "finish_reason": reply.finish_reason,
            }
            for index, reply in enumerate(replies)
        ],
        "usage": usage(body, replies, reasoning),
        "system_fingerprint": "fp_loopback",
    }
    if body.get("service_tier"):
        answer["service_tier"] = body["service_tier"]
    return answer


def completion(body: dict[str, Any], replies: Sequence[Reply], seq: int) -> dict[str, Any]:
    before = last_user_text(body) if body.get("echo") else ""
    return {
        "id": f"cmpl-{seq:08d}",
        "object": "text_completion",
        "created": CREATED,
        "model": body.get("model", ""),
        "choices": [
            {
                "index": index,
                "text": before + (reply.text or ""),
                "logprobs": _plain_logprobs(before + (reply.text or ""), body["logprobs"])
                if body.get("logprobs") is not None
                else None,
                "finish_reason": reply.finish_reason,
            }
            for index, reply in enumerate(replies)
        ],
        "usage": usage(body, replies, reasoning=False),
    }


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input", [])
    texts = given if isinstance(given, list) and not all(isinstance(part, int) for part in given) else [given]
    vectors = [embedding(json.dumps(text), body.get("dimensions") or 16) for text in texts]
    count = sum(len(tokens(str(text))) for text in texts)
    packed = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "model": body.get("model", ""),
        "data": [
            {"object": "embedding", "index": i, "embedding": _packed(vector) if packed else vector}
            for i, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    raw = hashlib.shake_128(text.encode()).digest(dimensions)
    numbers = [byte / 127.5 - 1 for byte in raw]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def models(names: Sequence[str]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": CREATED, "owned_by": "loopback"} for name in names],
    }


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _logprob(token: str, rank: int) -> float:
    share = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=2).digest()) / 65_536
    return round(-0.01 - share - 2.0 * rank, 6)


def _chat_logprobs(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    def entry(token: str, rank: int) -> dict[str, Any]:
        text = token if rank == 0 else f"{token}~{rank}"
        return {"token": text, "logprob": _logprob(token, rank), "bytes": list(text.encode())}

    ranks = range(body.get("top_logprobs") or 0)
    content = [
        {**entry(token, 0), "top_logprobs": [entry(token, rank) for rank in ranks]}
        for token in tokens(reply.text or "")
    ]
    return {"content": content, "refusal": None}


def _plain_logprobs(text: str, top: int) -> dict[str, Any]:
    words = tokens(text)
    offsets = [sum(map(len, words[:index])) for index in range(len(words))]
    return {
        "tokens": words,
        "token_logprobs": [_logprob(word, 0) for word in words],
        "top_logprobs": [
            {word if rank == 0 else f"{word}~{rank}": _logprob(word, rank) for rank in range(top)} for word in words
        ],
        "text_offset": offsets,
    }
