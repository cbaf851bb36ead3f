"""A large file passes through the disk, never through memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.components.llms.batch.journey import Journey, model_at, server_for
from tests.servers.loopback import Loopback

LARGE = 200_000_000
MOST = 20_000_000
ROWS = 2_000


def measured(*arguments):
    command = [sys.executable, "-m", "tests.components.llms.batch.measure", *map(str, arguments)]
    root = Path(__file__).parents[4]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout)


@pytest.fixture
def large(tmp_path):
    """An input file of 200 MB."""
    file = tmp_path / "large.jsonl"
    text = "x" * (LARGE // ROWS)
    with open(file, "wb") as handle:
        for number in range(ROWS):
            line = {"custom_id": f"b-{number}", "body": {"model": "m", "messages": [{"role": "user", "content": text}]}}
            handle.write(json.dumps(line).encode() + b"\n")
    assert file.stat().st_size >= LARGE
    return file


class Swallowing(Loopback):
    """Takes whatever is sent, counts its bytes, and calls it a batch."""

    def __init__(self):
        super().__init__()
        self.received = 0
        self.ends = b""

    def application(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self.take)
        app.router.add_get("/{path:.*}", self.none)
        return app

    async def take(self, request):
        async for piece in request.content.iter_chunked(1 << 16):
            self.received += len(piece)
            self.ends = (self.ends[:100] or piece[:100]) + piece[-100:]
        assert request.content_length == self.received
        return web.json_response({"id": "batch-1", "status": "validating", "processing_status": "in_progress"})

    async def none(self, _request):
        raise web.HTTPNotFound


@pytest.mark.parametrize("name", ["openai", "openrouter", "anthropic"])
def test_sending_200_mb_takes_little_memory(name, large):
    with Swallowing() as server:
        found = measured(name, f"{server.origin}/v1", "upload", large)
        assert server.received >= LARGE
    assert found["grown"] < MOST, found
    if name != "openai":
        assert server.ends[:100].startswith(b"{") and server.ends.endswith(b"]}")


@pytest.mark.parametrize("name", ["openai", "mistral", "openrouter", "xai", "anthropic", "gemini"])
def test_reading_200_mb_takes_little_memory(name, tmp_path):
    with server_for(name, output_bytes=LARGE) as server:
        journey = Journey(model_at(server, name), tmp_path, count=ROWS)
        remote = journey.start()
        # Its results are not read here: that would be this process's memory.
        while not server.batches[0].ended:
            journey.provider.get(remote.id)
        found = measured(name, server.base_url, "results", tmp_path, remote.id)
    assert found["lines"] == ROWS and found["size"] >= 0.9 * LARGE
    assert found["grown"] < MOST, found
