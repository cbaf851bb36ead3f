"""An OpenAI-compatible server on loopback, in a thread (`with OpenAIServer() as server:`) or as a process of its own.

    python -m tests.servers.openai_server --port 0 --latency-ms 50 --fault-rate 0.2 --seed 3 --log calls.jsonl

prints its port. What it answers and refuses is in `behavior.py`, what goes wrong in `faults.py`, what it received in
`journal.py`: `server.requests`, `server.paid(tag)`, `GET /__journal`, or the log, which outlives a kill.

A call is charged for (`billed`) when its whole answer is ready to be sent, also to a client that hung up meanwhile: a
provider does not stop at once either. Errors, resets, held connections and broken bodies are not charged.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.servers.answers import last_user_text
from tests.servers.behavior import Behavior, Replier
from tests.servers.chat_routes import ChatRoutes
from tests.servers.faults import RETRYABLE, Fault, Faults
from tests.servers.journal import Journal, Received
from tests.servers.loopback import LARGEST_UPLOAD, Loopback, serve_in_foreground


class OpenAIServer(Loopback):
    """`OpenAIServer(latency_ms=50)` is short for `OpenAIServer(Behavior(latency_ms=50))`."""

    def __init__(
        self, behavior: Behavior | None = None, *, port: int = 0, log: str | Path | None = None, **settings: Any
    ) -> None:
        super().__init__(port)
        self.behavior = behavior or Behavior(**settings)
        self.journal = Journal(log)
        self.routes = ChatRoutes(self.behavior, self.journal)

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def requests(self) -> list[Received]:
        return self.journal.requests

    def paid(self, tag: str, model: str | None = None) -> int:
        return self.journal.paid(tag, model)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_UPLOAD)
        app.add_routes(self.routes.table("/v1"))
        app.router.add_get("/__journal", self.show_journal)
        return app

    async def show_journal(self, request: web.Request) -> web.Response:
        return web.json_response(self.journal.as_json())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self.routes.raise_broken_replies()


def scripted_reply(mode: str) -> Replier | None:
    """`echo`, `fixed:TEXT`, or `label:A,B,C`, which picks a label by a hash of the last user text."""
    name, _, rest = mode.partition(":")
    if name == "echo":
        return None
    if name == "fixed":
        return lambda body: rest
    if name == "label":
        labels = rest.split(",")
        return lambda body: labels[hashlib.md5(last_user_text(body).encode()).digest()[0] % len(labels)]
    raise argparse.ArgumentTypeError(f"{mode!r} is none of echo, fixed:TEXT, label:A,B,C")


def listed(one: Callable[[str], Any] = str) -> Callable[[str], list[Any]]:
    return lambda text: [one(part) for part in text.split(",") if part]


def fault_or_ok(name: str) -> Fault | None:
    return None if name == "ok" else Fault(name)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.openai_server", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--faults", type=listed(Fault), default=list(RETRYABLE), help="kinds drawn from, by name")
    parser.add_argument("--script", type=listed(fault_or_ok), default=[], help="e.g. rate_limit,ok,server_error")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rps", type=float)
    parser.add_argument("--burst", type=float, default=1.0)
    parser.add_argument("--keys", type=listed())
    parser.add_argument("--models", type=listed())
    parser.add_argument("--context-tokens", type=int)
    parser.add_argument("--reply", type=scripted_reply, default="echo", help="echo, fixed:TEXT or label:A,B,C")
    parser.add_argument("--tag-pattern", default=Behavior.tag_pattern)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    behavior = Behavior(
        reply=options.reply,
        keys=options.keys,
        models=options.models,
        faults=Faults(options.fault_rate, options.faults, options.seed, options.script),
        latency_ms=options.latency_ms,
        jitter_ms=options.jitter_ms,
        rps=options.rps,
        burst=options.burst,
        context_tokens=options.context_tokens,
        tag_pattern=options.tag_pattern,
    )
    serve_in_foreground(OpenAIServer(behavior, port=options.port, log=options.log), until_eof=options.until_eof)


if __name__ == "__main__":
    main()
