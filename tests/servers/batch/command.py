"""A batch API as a process of its own: every field of BatchBehavior is a flag."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tests.servers.batch.behavior import BatchBehavior
from tests.servers.batch.server import BatchServer
from tests.servers.behavior import Behavior
from tests.servers.loopback import serve_in_foreground
from tests.servers.openai_server import listed, scripted_reply


def plain(text: str) -> Any:
    """JSON where it is JSON, else the text: `3`, `["land_hang"]`, `expired`."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parser_of(module: str, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--folder", type=Path, help="where files and batches are kept; they outlive the server")
    parser.add_argument("--reply", type=scripted_reply, default="echo", help="echo, fixed:TEXT or label:A,B,C")
    parser.add_argument("--keys", type=listed())
    parser.add_argument("--models", type=listed())
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    for field in fields(BatchBehavior):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=plain, default=argparse.SUPPRESS)
    return parser


def serve(server_class: Any, parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> None:
    """Parse and serve; flags that are not named here go to the server's class."""
    options = vars(parser.parse_args(arguments))
    until_eof = options.pop("until_eof")
    online = Behavior(reply=options.pop("reply"), keys=options.pop("keys"), models=options.pop("models"))
    server: BatchServer = server_class(behavior=online, **options)
    serve_in_foreground(server, until_eof=until_eof)
