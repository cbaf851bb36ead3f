"""How far a run has come, while it goes on: bars on a terminal, a line now and then in a log."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, Self

from app.cli.screen import Screen, count, money
from app.studio.progress import done_of
from components.errors import StillroomError

log = logging.getLogger("stillroom.cli")

Progress = dict[str, Any]


class View(Protocol):
    """Shows progress."""

    every: float
    """Seconds between two looks."""

    def show(self, progress: Progress) -> None:
        """Show where a run stands now."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Lines:
    """A line for each step that moved on."""

    every = 5.0

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._said: set[str] = set()

    def show(self, progress: Progress) -> None:
        for step in _shown(progress):
            done = done_of(step)
            of = f" of {step['total']:,}" if (step["total"] or 0) > done else ""
            line = f"{step['name']}: {done:,}{of} {'row' if done == 1 and not of else 'rows'}{_aside(step, ', ')}"
            if done and line not in self._said:
                self._said.add(line)
                self._screen.note(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Bars:
    """A bar for each step."""

    every = 0.5

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        name, note = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[note]}", markup=False)
        columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
        self._bars = RichProgress(*columns, console=Console(stderr=True), redirect_stdout=False)
        self._tasks: dict[str, Any] = {}

    def show(self, progress: Progress) -> None:
        for step in _shown(progress):
            name = step["name"]
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=None, note="")
            self._bars.update(self._tasks[name], total=step["total"], completed=done_of(step), note=_aside(step, ""))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


@contextmanager
def watching(read: Callable[[], Progress], screen: Screen) -> Iterator[None]:
    """Show the progress that `read` gives, inside the block and once more at its end."""
    view: View = Bars() if sys.stderr.isatty() else Lines(screen)
    over = threading.Event()

    def look_on() -> None:
        while True:
            try:
                view.show(read())
            except StillroomError as error:
                # The run goes on all the same, and the next look may see it.
                log.warning("%s", error)
            if over.wait(view.every):
                return

    thread = threading.Thread(target=look_on, name="stillroom-watch", daemon=True)
    with view:
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            view.show(read())


def _shown(progress: Progress) -> list[dict[str, Any]]:
    """Every step but the sources, whose rows are counted by the others."""
    return [step for step in progress["steps"] if step["kind"] != "source"] or progress["steps"]


def _aside(step: dict[str, Any], before: str) -> str:
    failed, review = step["failed"] + step["expired"], step["needs_review"]
    parts = [f"{failed:,} failed"] if failed else []
    parts += [f"{count(review, 'row')} to review"] if review else []
    parts += [money(step["cost"], step["cost_known"])] if step["cost"] else []
    return before + ", ".join(parts) if parts else ""
