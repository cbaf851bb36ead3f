"""What happened to a run, as lines of text that may go along with its results."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from components.pipeline.ledger import Event
from components.pipeline.sharing import file_name, local_paths
from components.pipeline.spec import PipelineSpec


def log_of(events: Iterable[Event], spec: PipelineSpec) -> str:
    """A line for each thing that happened, oldest first, with names of files instead of where they are."""
    lines = (f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%dT%H:%M:%SZ} {_said(event)}" for event in events)
    text = "".join(f"{line}\n" for line in lines)
    # The longest first, as one path may begin with another.
    for path in sorted(set(local_paths(spec.steps)), key=len, reverse=True):
        text = text.replace(path, file_name(path))
    return text.replace(str(Path.home()), "~")


def _said(event: Event) -> str:
    return " ".join(f"{event.kind}: {event.message}".split()) if event.message else event.kind
