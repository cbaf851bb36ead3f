"""XML as a stream of events, with nothing of it kept and no entities."""

from collections.abc import Iterator
from typing import IO, Any
from xml.parsers import expat

_CHUNK = 2**16
# Expat holds a tag until it is closed, so a tag must not be a file of its own.
_LONGEST_TAG = 2**20

START, TEXT, END = 0, 1, 2
Event = tuple[int, str, dict[str, str]]
"""What it is; a name without its prefix, or the text; the attributes of a start."""


class BrokenXml(Exception):
    """The XML is not well formed, or uses what a data file has no need of."""


def xml_events(file: IO[bytes]) -> Iterator[Event]:
    """The events of a document in order; raises BrokenXml."""
    events: list[Event] = []
    none: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        events.append((START, name.rpartition(":")[2] if ":" in name else name, attributes or none))

    def end(name: str) -> None:
        events.append((END, name.rpartition(":")[2] if ":" in name else name, none))

    def text(data: str) -> None:
        events.append((TEXT, data, none))

    def refuse_doctype(*_: Any) -> None:
        raise BrokenXml

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse_doctype
    n_bytes = 0
    try:
        while chunk := file.read(_CHUNK):
            parser.Parse(chunk, False)
            n_bytes += len(chunk)
            if n_bytes - parser.CurrentByteIndex > _LONGEST_TAG:
                raise BrokenXml
            yield from events
            events.clear()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BrokenXml from error
    yield from events
