"""Requests as JSON: one a line on disk, and the lines as an array inside one body, never in memory as a whole."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from components.errors import RequestRefused

CHUNK = 256 * 1024


def encoded_line(request: Mapping[str, Any]) -> bytes:
    """A request as a line. Raises: RequestRefused for what JSON cannot hold."""
    try:
        return orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        reason = str(error)
    if "surrogates" in reason:
        reason = "it holds half of a character (a lone surrogate); take it out of the row"
    raise RequestRefused(f"The request cannot be sent: {reason}.")


def enclosed(file: Path, head: Mapping[str, Any], name: str = "requests") -> tuple[Iterator[bytes], int]:
    """The lines of a file as the array in the last field of a body, in pieces, and the length of it all."""
    fields = orjson.dumps(dict(head))[:-1]
    start = fields + (b"," if head else b"") + orjson.dumps(name) + b":["
    # Between requests a comma takes the place of the newline, and there is none after the last.
    size = len(start) + max(0, file.stat().st_size - 1) + len(b"]}")

    def pieces() -> Iterator[bytes]:
        yield start
        with open(file, "rb") as handle:
            left = max(0, file.stat().st_size - 1)
            while left and (piece := handle.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece.replace(b"\n", b",")
        yield b"]}"

    return pieces(), size
