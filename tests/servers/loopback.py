"""An aiohttp application on a loopback port, served from a thread of its own."""

import asyncio
import contextlib
import sys
import threading
from types import TracebackType
from typing import Self

from aiohttp import web

LARGEST_UPLOAD = 512 * 1024 * 1024


class Loopback:
    """Serves `application()` on 127.0.0.1 while the `with` block lasts; port 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def application(self) -> web.Application:
        raise NotImplementedError

    def start(self) -> Self:
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        # A held connection must not hold up the end of a test, hence next to no grace (0 would mean forever); a client
        # that hangs up cancels its handler, so that calls in flight are counted as the client sees them.
        runner = web.AppRunner(self.application(), handler_cancellation=True, shutdown_timeout=0.05, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024)
            await site.start()
            self.port = int(runner.addresses[0][1])
            self._ready.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()


def serve_in_foreground(server: Loopback, *, until_eof: bool) -> None:
    """Print the port, then serve until interrupted, or until stdin closes so that no server outlives its test."""
    with server:
        print(server.port, flush=True)
        if until_eof:
            sys.stdin.buffer.read()
        else:
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
