"""The least a client can do: keep-alive sockets under asyncio. Benchmarks give their figures as a ratio to it.

    python -m tests.bench.server.client http://127.0.0.1:4000/v1 10000 256

prints the figures as JSON. `run` measures inside this process, `run_apart` in a fresh one, where peak memory means
something.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.process import ROOT


@dataclass(frozen=True)
class Figures:
    """`wall` and `cpu` in seconds, of this process and for the requests alone; `peak_rss` in MB, of all it ever did."""

    requests: int
    concurrency: int
    wall: float
    cpu: float
    peak_rss: float

    @property
    def per_second(self) -> float:
        return self.requests / self.wall

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per request."""
        return 1000 * self.cpu / self.requests


def run(base_url: str, n: int, concurrency: int) -> Figures:
    """Ask for n chat completions over `concurrency` connections; RuntimeError for any answer that is not its row's."""
    return asyncio.run(_run(base_url, n, concurrency))


def run_apart(base_url: str, n: int, concurrency: int) -> Figures:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.server.client", base_url, str(n), str(concurrency)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Figures(**json.loads(done.stdout))


def request_bytes(host: str, path: str, row: int) -> bytes:
    """A chat request as Stillroom would send it, of about 500 bytes."""
    question = f"row-{row} Classify the ticket as bug, billing, question or praise and say why in one sentence: " + (
        "the export stops after the first page, and I need the whole table for my report on Friday. " * 2
    )
    body = json.dumps(
        {
            "model": "bench",
            "messages": [
                {"role": "system", "content": "You label support tickets."},
                {"role": "user", "content": question},
            ],
            "max_tokens": 128,
            "temperature": 0.7,
        }
    ).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """Sends the next row's request as soon as an answer is complete."""

    def __init__(self, next_row: Callable[[], int | None], write: Callable[[int], bytes]) -> None:
        self.next_row = next_row
        self.write_request = write
        self.buffer = b""
        self.row: int | None = None
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self) -> None:
        self.row = self.next_row()
        if self.row is None:
            self.transport.close()
        else:
            self.transport.write(self.write_request(self.row))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end == -1:
            return
        head = self.buffer[:head_end]
        length = int(head[head.lower().index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < head_end + 4 + length:
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"row-%d ' % (self.row or 0) not in self.buffer:
            self.ended.set_exception(RuntimeError(f"row-{self.row} got {self.buffer[:200]!r}"))
            self.transport.close()
            return
        self.buffer = b""
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        if self.row is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(RuntimeError(f"the server hung up on row-{self.row}: {error}"))


async def _run(base_url: str, n: int, concurrency: int) -> Figures:
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/") + "/chat/completions"
    rows = iter(range(n))
    loop = asyncio.get_running_loop()
    started, cpu = time.perf_counter(), time.process_time()
    connections: list[_Connection] = []
    for _ in range(min(concurrency, n)):
        _, connection = await loop.create_connection(
            lambda: _Connection(lambda: next(rows, None), lambda row: request_bytes(parts.netloc, path, row)),
            parts.hostname or "127.0.0.1",
            parts.port or 80,
        )
        connections.append(connection)
    for connection in connections:
        connection.ask()
    await asyncio.gather(*(connection.ended for connection in connections))
    return Figures(n, concurrency, time.perf_counter() - started, time.process_time() - cpu, peak_rss())


def peak_rss() -> float:
    """MB. From /proc where there is one: ru_maxrss of a new process starts at what its parent had."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / (1024 if sys.platform == "darwin" else 1)


if __name__ == "__main__":
    print(json.dumps(asdict(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
