"""Clients for tests. They load no certificates, which would take longer than most tests do."""

from typing import Any

import httpx
import openai
from openai.types import Batch

from tests.servers.batch.sample_input import jsonl

CHAT: Any = "/v1/chat/completions"


def openai_client(server: Any, key: str = "sk-test", **settings: Any) -> openai.OpenAI:
    """The real SDK, which is told not to retry."""
    plain = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=server.base_url, api_key=key, http_client=plain, **{"max_retries": 0, **settings})


def http_client(server: Any, **headers: str) -> httpx.Client:
    """Underscores in the names of headers stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Client(base_url=server.base_url, headers=named, verify=False)


def submit(client: openai.OpenAI, content: Any, endpoint: Any = CHAT, **settings: Any) -> Batch:
    """Upload lines, or bytes, and create a batch of them."""
    content = content if isinstance(content, bytes) else jsonl(content)
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **settings)


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    """The batch, polled to its end."""
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        batch = client.batches.retrieve(batch.id)
    return batch


def text_of(client: openai.OpenAI, file_id: str | None) -> str:
    assert file_id, "there is no such file"
    return client.files.content(file_id).text
