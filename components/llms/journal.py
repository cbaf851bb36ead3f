"""Where answers are kept while a step asks for them in its own way."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Journal(Protocol):
    """Keeps what models answer, so that nobody pays for the same answer twice."""

    async def answer(self, llm: Any, question: Mapping[str, Any], ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer that is kept, or a new one that is from now on."""
        ...


_journal: ContextVar[Journal | None] = ContextVar("journal", default=None)


def current_journal() -> Journal | None:
    """The journal of the step that is asking, if its answers are kept in one."""
    return _journal.get()


@contextmanager
def keeping(journal: Journal) -> Iterator[None]:
    """Keep every answer inside the block."""
    token = _journal.set(journal)
    try:
        yield
    finally:
        _journal.reset(token)
