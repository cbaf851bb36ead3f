"""Accounts at providers, and their keys: entered once, lent to runs, never shown again."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import update

from app.settings import Settings
from app.studio.keyring import Keyring
from app.studio.records import Record, Records
from app.tables import CONNECTION
from components.errors import ConfigError, did_you_mean
from components.llms.endpoint import checked_base_url
from components.llms.providers import PRESETS, preset
from components.pipeline.ledger import Ledger
from components.vault import BoundVault, Connection, is_loopback, key_on_this_machine, origin

CUSTOM_ID = "custom"
SHORTEST_HINTED = 12
"""Of a shorter key, four signs would give away too much."""


@dataclass(frozen=True)
class ConnectionInfo:
    """A connection as the page shows it; the key itself is never in it."""

    id: str
    name: str
    provider: str
    title: str
    base_url: str
    state: str
    """`key_set`, `from_environment`, `key_missing` or `no_key_needed`."""
    key_hint: str
    variable: str
    created_at: float


class StudioVault(BoundVault):
    """Lends connections by name; to models that name none, the environment's key or the provider's stored one."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        super().__init__(connections)
        self._all = tuple(connections.values())

    def environment_key(self, variable: str, base_url: str, home: str) -> SecretStr | None:
        found = super().environment_key(variable, base_url, home)
        if found is not None:
            return found
        for connection in self._all:
            known = preset(connection.provider)
            belongs = connection.base_url or known.base_url
            if connection.key and known.env_key == variable and belongs and origin(belongs) == origin(base_url):
                return connection.key
        return None


class Connections:
    """Adds, lists and removes connections; keys go in and never come out, but to a run."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._keeps = settings.keys == "stored"
        self._keyring = Keyring(settings.home)
        self._in_memory: dict[str, SecretStr] = {}
        self._records = Records(ledger, CONNECTION, "c", "connection")
        self.on_change: Callable[[], None] = lambda: None
        """Called when keys were added, replaced or removed, for whoever waits for one."""

    def list(self) -> Sequence[ConnectionInfo]:
        """All connections, by name."""
        return [self._info(record) for record in sorted(self._records.all(), key=lambda record: record["name"])]

    def get(self, connection_id: str) -> ConnectionInfo:
        """One connection. Raises: NotFound."""
        return self._info(self._records.get(connection_id))

    def named(self, name: str) -> ConnectionInfo:
        """The connection of that name. Raises: ConfigError when there is none."""
        known = {info.name: info for info in self.list()}
        if name not in known:
            raise ConfigError(f"There is no connection named '{name}'.{did_you_mean(name, known)}")
        return known[name]

    def add(
        self,
        provider: str,
        key: str = "",
        *,
        name: str = "",
        base_url: str = "",
        from_environment: bool = False,
    ) -> ConnectionInfo:
        """A new connection to a provider of the table, or to the server at `base_url`.

        Without a key, a connection to this address that is there already is given back.
        Its key is sent to this address alone. To move it to another address, add another connection.
        Raises: ConfigError.
        """
        known = preset(provider)
        if provider not in PRESETS and provider != CUSTOM_ID:
            raise ConfigError(f"There is no provider '{provider}'.{did_you_mean(provider, [*PRESETS, CUSTOM_ID])}")
        address = _address(base_url) or known.base_url
        if not address:
            raise ConfigError(f"{_title(provider)} needs the address of its server, such as https://host/v1.")
        same = None if key.strip() or from_environment else self._same(provider, address, _checked_name(name))
        if same is not None:
            return same
        record: Record = {
            "id": self._records.new_id(),
            "name": _checked_name(name) or self._free_name(provider),
            "provider": provider,
            "base_url": address,
            "variable": _variable(provider, address) if from_environment else None,
            "secret": None,
            "key_hint": "",
            "owner": "",
            "created_at": time.time(),
        }
        if any(info.name == record["name"] for info in self.list()):
            raise ConfigError(f"A connection named '{record['name']}' is there already. Give this one another name.")
        record |= self._kept(record["id"], _checked_key(key)) if key.strip() else {}
        self._records.add(record)
        self.on_change()
        return self._info(record)

    def set_key(self, connection_id: str, key: str) -> ConnectionInfo:
        """Replace the key. Raises: NotFound; ConfigError for what cannot be a key."""
        self._records.get(connection_id)
        changed = self._kept(connection_id, _checked_key(key)) | {"variable": None}
        query = update(CONNECTION).where(CONNECTION.c.id == connection_id).values(**changed)
        self._records.database.write(lambda connection: connection.execute(query))
        self.on_change()
        return self.get(connection_id)

    def remove(self, connection_id: str) -> None:
        """Forget a connection and its key. Raises: NotFound."""
        self._records.remove(connection_id)
        self._in_memory.pop(connection_id, None)
        self.on_change()

    def vault(self) -> StudioVault:
        """What a run may borrow: every connection with its key, bound to its own address."""
        connections = [self._connection(record) for record in self._records.all()]
        return StudioVault({connection.name: connection for connection in connections})

    def _connection(self, record: Record) -> Connection:
        return Connection(record["name"], record["provider"], record["base_url"], self._key(record))

    def _key(self, record: Record) -> SecretStr | None:
        if record["variable"]:
            return key_on_this_machine(record["variable"])
        if record["secret"] is not None:
            return self._keyring.unseal(record["secret"])
        return self._in_memory.get(record["id"])

    def _kept(self, connection_id: str, key: SecretStr) -> Record:
        value = key.get_secret_value()
        hint = value[-4:] if len(value) >= SHORTEST_HINTED else ""
        if self._keeps:
            return {"secret": self._keyring.seal(key), "key_hint": hint}
        self._in_memory[connection_id] = key
        return {"secret": None, "key_hint": hint}

    def _info(self, record: Record) -> ConnectionInfo:
        has_key = self._key(record) is not None
        if has_key:
            state = "from_environment" if record["variable"] else "key_set"
        else:
            state = "no_key_needed" if is_loopback(record["base_url"] or "") else "key_missing"
        return ConnectionInfo(
            id=record["id"],
            name=record["name"],
            provider=record["provider"],
            title=_title(record["provider"]),
            base_url=record["base_url"] or "",
            state=state,
            key_hint=record["key_hint"] if has_key else "",
            variable=record["variable"] or "",
            created_at=record["created_at"],
        )

    def _same(self, provider: str, address: str, name: str) -> ConnectionInfo | None:
        """The connection to an address, of that name where one is given; the same provider's before another's."""
        found = [info for info in self.list() if info.base_url == address and name in ("", info.name)]
        return min(found, key=lambda info: info.provider != provider, default=None)

    def _free_name(self, provider: str) -> str:
        taken = {info.name for info in self.list()}
        number, name = 2, provider
        while name in taken:
            name, number = f"{provider}_{number}", number + 1
        return name


def is_in_environment(variable: str) -> bool:
    """Whether an environment variable holds something; what, is nobody's business here."""
    return bool(os.environ.get(variable, "").strip())


def _title(provider: str) -> str:
    return preset(provider).title if provider in PRESETS else "Another server"


def _address(base_url: str) -> str:
    if not base_url.strip():
        return ""
    try:
        return checked_base_url(base_url)
    except ValueError as error:
        raise ConfigError(f"The address {error}.") from None


def _checked_name(name: str) -> str:
    name = name.strip()
    if len(name) > 100 or not name.isprintable():
        raise ConfigError("The name of a connection is one line of 100 characters at most.")
    return name


def _checked_key(key: str) -> SecretStr:
    key = key.strip()
    if not key:
        raise ConfigError("Paste the key first.")
    if len(key) > 1000 or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("This is not a key: it holds a space or a sign that no key has. Copy it again.")
    return SecretStr(key)


def _variable(provider: str, address: str) -> str:
    known = preset(provider)
    if provider not in PRESETS or not known.env_key:
        raise ConfigError(f"There is no environment variable for {_title(provider)}. Enter the key instead.")
    # A key of this machine goes to its own provider, or stays on this machine.
    if not is_loopback(address) and origin(address) != origin(known.base_url):
        raise ConfigError(
            f"{known.env_key} is the key of {known.title} and is not sent to {address}. Enter the key for it instead."
        )
    return known.env_key
