"""llama.cpp inside this process: one engine for each model file and setting, shared by all who use it."""

import atexit
import ctypes
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components.errors import ConfigError, MissingPackage, ProviderDown, RequestRefused
from components.llms.failures import error_for
from components.llms.gguf import checked_gguf

TITLE = "llama.cpp"


@dataclass(frozen=True)
class Settings:
    """What an engine is loaded with; equal settings share one."""

    path: Path
    context: int
    slots: int
    gpu_layers: int
    threads: int | None
    batch: int
    chat_template: str | None
    verbose: bool = False


class Engine:
    """A loaded model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.users = 0
        self._server = _start(settings)

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat completion. Raises: ContextTooLong, RequestRefused, ProviderDown."""
        return self._answer(self._server.handle_chat_completions, body)

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """A completion of bare text."""
        return self._answer(self._server.handle_completions, body)

    def _answer(self, handler: Any, body: dict[str, Any]) -> dict[str, Any]:
        try:
            data = handler(body)
        except ValueError as error:
            raise RequestRefused(f"{TITLE} refused the request: {error}.", provider=TITLE) from None
        if not isinstance(data, dict):
            raise ProviderDown(f"{TITLE} sent a reply that is no JSON object.", provider=TITLE)
        if "choices" not in data:
            told = data.get("error", data)
            code = told.get("code") if isinstance(told, dict) else None
            raise error_for(code if isinstance(code, int) else 500, {}, data, TITLE)
        return data


class Lease:
    """One user's hold on an engine."""

    def __init__(self, settings: Settings) -> None:
        with _lock:
            engine = _engines.get(settings)
            if engine is None:
                engine = _engines[settings] = Engine(settings)
            engine.users += 1
        self._engine: Engine | None = engine

    @property
    def engine(self) -> Engine | None:
        """The engine, until the lease ends."""
        return self._engine

    def end(self) -> None:
        """Give the engine back; the last to do so frees its memory."""
        with _lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.users -= 1
                if engine.users == 0:
                    _engines.pop(engine.settings, None)


_lock = threading.Lock()
_engines: dict[Settings, Engine] = {}
# An engine has threads of its own, which must end before the interpreter does.
atexit.register(_engines.clear)


@cache
def threads_for(slots: int) -> ThreadPoolExecutor:
    """Threads that wait for an engine with that many slots."""
    return ThreadPoolExecutor(max_workers=slots, thread_name_prefix="stillroom-llama")


def _start(settings: Settings) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise MissingPackage("A model inside this process", "local") from None
    checked_gguf(settings.path)
    params = xllamacpp.CommonParams()
    params.model.path = str(settings.path)
    params.n_ctx = settings.context * settings.slots
    params.n_parallel = settings.slots
    params.n_batch = settings.batch
    params.n_gpu_layers = settings.gpu_layers
    params.warmup = False
    params.endpoint_metrics = True
    params.verbosity = 3 if settings.verbose else -1
    if settings.threads:
        params.cpuparams.n_threads = settings.threads
    if settings.chat_template:
        params.chat_template = settings.chat_template
    with _unreachable(params), _own_signals():
        try:
            server = xllamacpp.Server(params)
        except RuntimeError:
            server = None
    if server is not None:
        # Its loop begins a moment after this; an engine that is dropped before that would never end.
        server.handle_metrics()
        return server
    raise ConfigError(
        f"{TITLE} cannot load {settings.path}. The file may be broken, too new for this version, or too large for the "
        "memory of this machine."
    )


@contextmanager
def _unreachable(params: Any) -> Iterator[None]:
    # The engine cannot be started without a listener. It gets a socket file that only this user can reach, which is
    # gone as soon as the engine runs; nothing listens on the network.
    params.api_keys = [secrets.token_hex(16)]
    if os.name != "posix":
        params.hostnames = ["127.0.0.1"]
        yield
        return
    with tempfile.TemporaryDirectory(prefix="stillroom-") as folder:
        params.hostnames = [f"{folder}/engine.sock"]
        yield


@contextmanager
def _own_signals() -> Iterator[None]:
    # The engine takes Ctrl+C and SIGTERM for itself when it starts. Python's own handlers are put back, by the C
    # functions, because Python's `signal` works on the main thread only.
    if os.name != "posix":
        yield
        return
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.restype = put.restype = ctypes.c_void_p
    get.argtypes, put.argtypes = [ctypes.c_int], [ctypes.c_int, ctypes.c_void_p]
    before = {number: get(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            put(number, handler)
