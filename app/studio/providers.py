"""What a person can choose models from: every provider with its state, its models, and a tiny test call."""

from dataclasses import dataclass, field
from typing import Any

from app.studio.connections import ConnectionInfo, Connections, is_in_environment
from components import catalog
from components.component import Component
from components.errors import ConfigError
from components.llms.discovery import Probe, detect_local_servers, list_models, probe
from components.llms.llm import LLM
from components.llms.loop import run_in_background
from components.llms.providers import PRESETS, Preset, preset, preset_at
from components.vault import is_loopback, key_on_this_machine, lend


@dataclass(frozen=True)
class LocalServer:
    """A server for models that was found on this machine."""

    provider: str
    title: str
    base_url: str
    models: list[str]


@dataclass(frozen=True)
class ProviderCard:
    """A provider, as its card on the page shows it; no key is in it."""

    id: str
    title: str
    state: str
    """`key_set`, `from_environment`, `key_missing`, `server_found` or `not_running`."""
    base_url: str
    variable: str
    key_page: str
    notes: str
    is_local: bool
    has_model_list: bool
    models: list[str] = field(default_factory=list)
    """Known at once only for servers found on this machine."""
    connections: list[ConnectionInfo] = field(default_factory=list)


class Providers:
    """Looks providers up; asks them only when told to."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._found: dict[str, LocalServer] = {}

    def cards(self) -> list[ProviderCard]:
        """Every provider of the table, those that are ready to use first, and a last one for other servers."""
        held: dict[str, list[ConnectionInfo]] = {}
        for info in self._connections.list():
            held.setdefault(info.provider, []).append(info)
        cards = [self._card(known, held.get(known.id, [])) for known in PRESETS.values()]
        ready = ("key_set", "from_environment", "server_found")
        cards.sort(key=lambda card: card.state not in ready)
        if "custom" in held:
            state = "key_set" if any(info.state != "key_missing" for info in held["custom"]) else "key_missing"
            cards.append(
                ProviderCard("custom", "Other servers", state, "", "", "", "", False, True, connections=held["custom"])
            )
        return cards

    def detect(self) -> list[LocalServer]:
        """Look for servers on this machine where they usually listen; takes half a second."""
        found = run_in_background(detect_local_servers())
        servers = [LocalServer(one.preset.id, one.preset.title, one.base_url, list(one.models)) for one in found]
        self._found = {server.provider: server for server in servers}
        return servers

    def models(self, provider: str = "", connection: str = "") -> list[str]:
        """The models of a connection, or of a provider whose key is in the environment.

        Raises: ConfigError; CredentialError and the other errors of a call.
        """
        if not connection:
            return self._ask_models(_known(provider), None)
        info = self._connections.named(connection)
        lent = self._connections.vault().connection(connection)
        return self._ask_models(info.base_url or preset(info.provider), lent.key if lent else None)

    def test(self, model: str, *, provider: str = "", connection: str = "") -> Probe:
        """One tiny request, and what came back in a sentence; a real one, so a paid model costs a fraction of a cent.

        Raises: ConfigError.
        """
        llm = catalog.build(self.llm(model, provider=provider, connection=connection))
        assert isinstance(llm, LLM)
        with lend(self._connections.vault()):
            return run_in_background(probe(llm))

    def llm(self, model: str, *, provider: str = "", connection: str = "") -> dict[str, Any]:
        """The model as a step's `llm` says it: the component for this provider, the model's name and the connection.

        Raises: ConfigError for an unknown provider or connection.
        """
        if provider == "rehearsal":
            return {"use": "RehearsalLLM"}
        if not model.strip():
            raise ConfigError("Name a model first.")
        info = self._connections.named(connection) if connection else None
        known = preset_at(info.base_url) if info and info.base_url else _known(provider)
        cls = _class_for(known if info is None else preset(info.provider))
        name = "model" if "model" in cls.model_fields else "model_id"
        data: dict[str, Any] = {"use": cls.__name__, name: model.strip()}
        if info is not None:
            data["connection"] = info.name
        elif getattr(cls, "preset_id", "") != known.id:
            data["base_url"] = known.base_url
        return data

    def _ask_models(self, place: str | Preset, key: Any) -> list[str]:
        with lend(self._connections.vault()):
            return run_in_background(list_models(place, key))

    def _card(self, known: Preset, connections: list[ConnectionInfo]) -> ProviderCard:
        server = self._found.get(known.id)
        return ProviderCard(
            id=known.id,
            title=known.title,
            state=_state(known, connections, server is not None),
            base_url=known.base_url,
            variable=known.env_key,
            key_page=known.key_page,
            notes=known.notes,
            is_local=known.is_local,
            has_model_list=known.has_model_list,
            models=list(server.models) if server else [],
            connections=connections,
        )


def _state(known: Preset, connections: list[ConnectionInfo], is_found: bool) -> str:
    if known.is_local:
        return "server_found" if is_found else "not_running"
    states = {info.state for info in connections}
    if "key_set" in states:
        return "key_set"
    if "from_environment" in states or is_in_environment(known.env_key):
        return "from_environment"
    if known.env_key == "HF_TOKEN" and key_on_this_machine("HF_TOKEN"):
        return "from_environment"
    return "key_missing"


def _known(provider: str) -> Preset:
    if provider not in PRESETS:
        raise ConfigError(f"There is no provider '{provider}'. Choose one of the list, or add a connection.")
    return PRESETS[provider]


def _class_for(known: Preset) -> type[Component]:
    """The component made for a provider; that for OpenAI speaks to all the others."""
    general = catalog.get("OpenAILLM")
    if known.is_local or is_loopback(known.base_url):
        return general
    for name in catalog.names(LLM):
        cls = catalog.get(name)
        if getattr(cls, "preset_id", "") == known.id and (known.id != "openai" or cls is general):
            return cls
    return general
