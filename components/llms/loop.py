"""One event loop in a thread of its own, so that async work can be called from anywhere."""

import asyncio
import atexit
import contextvars
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_home: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("home_loop", default=None)


@cache
def background_loop() -> asyncio.AbstractEventLoop:
    """The loop that serves models called outside a run."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="stillroom-calls", daemon=True).start()
    atexit.register(_close_connections, loop)
    return loop


def _close_connections(loop: asyncio.AbstractEventLoop) -> None:
    # The loop's async generators hold them; a loop that is busy to the end must not hold up the exit.
    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(timeout=1)


@contextmanager
def at_home(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let models called from threads inside the block work on this loop, the run's own."""
    token = _home.set(loop)
    try:
        yield
    finally:
        _home.reset(token)


def run_in_background(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also from inside another running loop; the caller's context goes along.

    Raises: RuntimeError when called on the very loop that would have to do the work.
    """
    loop = _home.get() or background_loop()
    if _running_loop() is loop:
        work.close()
        raise RuntimeError(
            "A model was called without await on the loop that serves it. Use `await llm.complete(...)`."
        )
    context = contextvars.copy_context()

    async def started() -> T:
        return await loop.create_task(work, context=context)

    future = asyncio.run_coroutine_threadsafe(started(), loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
