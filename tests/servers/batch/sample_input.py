"""Input for batches in tests: rows `row-0`, `row-1` and so on, with the custom_ids `job1-0`, `job1-1` and so on."""

import json
from collections.abc import Iterator
from typing import Any

MODEL = "gpt-4o-mini"


def chat_body(number: int, model: str = MODEL, **settings: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": f"row-{number} hello"}], **settings}


def openai_lines(count: int, job: str = "job1", model: str = MODEL, **settings: Any) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "custom_id": f"{job}-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": chat_body(number, model, **settings),
        }


def bare_lines(count: int, job: str = "job1", model: str = MODEL, **settings: Any) -> Iterator[dict[str, Any]]:
    """Without method and url, as Mistral, Together and OpenRouter have it."""
    for number in range(count):
        yield {"custom_id": f"{job}-{number}", "body": chat_body(number, model, **settings)}


def jsonl(lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def rows_of(text: str) -> dict[str, dict[str, Any]]:
    """The rows of a result file by custom_id; lines that are none are left out."""
    found = {}
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["custom_id"]] = row
    return found
