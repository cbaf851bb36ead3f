"""The benchmark server as a context manager, and what it says of itself."""

import json
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection

from tests.servers.process import ServerProcess


@dataclass(frozen=True)
class Stats:
    """`cpu` is what the server's process has used so far, in seconds; `at` is a clock in seconds."""

    requests: int
    max_in_flight: int
    cpu: float
    at: float


class FastServer(ServerProcess):
    """`with FastServer(latency_ms=200) as server:` then `server.base_url` and `server.stats()`."""

    def __init__(self, latency_ms: float = 200.0, content: str | None = None) -> None:
        arguments = ["--latency-ms", str(latency_ms)]
        if content is not None:
            arguments += ["--content", content]
        super().__init__("tests.bench.server", *arguments)

    def stats(self) -> Stats:
        with closing(HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", "/__stats")
            return Stats(**json.load(connection.getresponse()))
