"""Where keys come from while a run works: never from a saved field."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

_keys: set[str] = set()
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LENDERS = "stillroom.connections"
"""The entry points of those who keep connections, as the app does; the core knows none of them by name."""


@dataclass(frozen=True)
class Connection:
    """A named account at a provider: which preset, at which address, with which key."""

    name: str
    provider: str
    base_url: str | None = None
    key: SecretStr | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Vault(Protocol):
    """Lends keys to the models of one run."""

    def connection(self, name: str) -> Connection | None:
        """The connection of that name, if its owner made one."""
        ...

    def environment_key(self, variable: str, base_url: str, home: str) -> SecretStr | None:
        """The key in an environment variable, if it may be sent to `base_url`; `home` is the provider's own address."""
        ...


class ScriptVault:
    """The vault of a script: environment variables, sent wherever the script's own code says, and kept connections."""

    def connection(self, name: str) -> Connection | None:
        return kept_connection(name)

    def environment_key(self, variable: str, base_url: str, home: str) -> SecretStr | None:
        return key_on_this_machine(variable)


class BoundVault:
    """The vault of the app and the CLI: an environment key goes to its provider's own host, or this machine, only."""

    def __init__(self, connections: Mapping[str, Connection] | None = None) -> None:
        self._connections = dict(connections or {})

    def connection(self, name: str) -> Connection | None:
        return _lent(self._connections.get(name))

    def environment_key(self, variable: str, base_url: str, home: str) -> SecretStr | None:
        if is_loopback(base_url) or origin(base_url) == origin(home):
            return key_on_this_machine(variable)
        return None


class FileVault(BoundVault):
    """The vault of a script that runs a pipeline from a file: what a file says is not what the script says."""

    def connection(self, name: str) -> Connection | None:
        return kept_connection(name)


def kept_connection(name: str) -> Connection | None:
    """The connection of that name that was made in the app, with the home folder of this process."""
    from importlib.metadata import entry_points

    lent = (entry.load()(name) for entry in entry_points(group=LENDERS))
    return _lent(next((connection for connection in lent if connection is not None), None))


def key_on_this_machine(variable: str) -> SecretStr | None:
    """The key in an environment variable; for HF_TOKEN also the one that `hf auth login` saved."""
    value = os.environ.get(variable, "").strip()
    if not value and variable == "HF_TOKEN":
        from huggingface_hub import get_token

        value = get_token() or ""
    if value:
        _keys.add(value)
    return SecretStr(value) if value else None


def keys_lent() -> frozenset[str]:
    """Every key that was lent in this process: what must not be told to anybody."""
    return frozenset(_keys)


def _lent(connection: Connection | None) -> Connection | None:
    if connection is not None and connection.key is not None:
        _keys.add(connection.key.get_secret_value().strip())
    return connection


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address: what a key is bound to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in LOOPBACK


_current: ContextVar[Vault] = ContextVar("vault", default=ScriptVault())  # noqa: B039 - it has no state


def current_vault() -> Vault:
    """The vault of the run that is asking."""
    return _current.get()


@contextmanager
def lend(vault: Vault) -> Iterator[None]:
    """Lend a vault to everything inside the block."""
    token = _current.set(vault)
    try:
        yield
    finally:
        _current.reset(token)
