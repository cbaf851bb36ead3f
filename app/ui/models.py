"""The Models and keys page: one card for each provider; keys go in and never come out."""

from typing import Any, Final

from app.studio import Studio
from app.studio.connections import ConnectionInfo
from app.studio.providers import ProviderCard
from app.ui.calls import Answer, answering, text
from app.ui.model_choice import STATES, state_words
from app.ui.module import module
from app.ui.shell import page_shell
from components.llms.providers import CUSTOM

READY: Final = frozenset({"key_set", "from_environment", "server_found"})


def models_page(studio: Studio) -> None:
    """Lay out the page."""
    with page_shell("models", "Models and keys", "Keys are encrypted on this machine and never shown again"):
        module("models", calls=ModelsPage(studio).calls())


class ModelsPage:
    """What the page shows and does."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def calls(self) -> list[Any]:
        """The functions that its script calls."""
        lists = (self.list_providers, self.find_servers, self.find_models)
        return [
            answering(one) for one in (*lists, self.test_model, self.save_key, self.add_server, self.forget_connection)
        ]

    def list_providers(self, _: Answer) -> Answer:
        """Every provider with its state; no key is in it."""
        return {"providers": [_provider(card) for card in self.studio.providers.cards()]}

    def find_servers(self, _: Answer) -> Answer:
        """Look for servers on this machine."""
        return {"servers": [one.provider for one in self.studio.providers.detect()]}

    def find_models(self, argument: Answer) -> Answer:
        """The models of a provider or a connection."""
        return {"models": self.studio.providers.models(text(argument, "provider"), text(argument, "connection"))}

    def test_model(self, argument: Answer) -> Answer:
        """One tiny request, and what came back."""
        place = {"provider": text(argument, "provider"), "connection": text(argument, "connection")}
        probe = self.studio.providers.test(text(argument, "model"), **place)
        return {"works": probe.ok, "message": probe.message}

    def save_key(self, argument: Answer) -> None:
        """Keep a key: for a connection in place of its old one, else for a provider."""
        connections, key = self.studio.connections, text(argument, "key")
        if text(argument, "connection"):
            connections.set_key(text(argument, "connection"), key)
        else:
            connections.add(text(argument, "provider"), key, base_url=text(argument, "address"))

    def add_server(self, argument: Answer) -> None:
        """Remember a server by its address."""
        self.studio.connections.add(CUSTOM.id, text(argument, "key"), base_url=text(argument, "address"))

    def forget_connection(self, argument: Answer) -> None:
        """Remove a connection and its key."""
        self.studio.connections.remove(text(argument, "id"))


def _provider(card: ProviderCard) -> Answer:
    return {
        "id": card.id,
        "title": card.title,
        "state": card.state,
        "state_words": "ready" if card.id == CUSTOM.id else state_words(card),
        "is_ready": card.state in READY or any(one.state != "key_missing" for one in card.connections),
        "is_local": card.is_local,
        "base_url": card.base_url,
        "variable": card.variable,
        "key_page": card.key_page,
        "notes": card.notes,
        "models": card.models,
        "takes_key": not card.is_local and card.id != CUSTOM.id,
        "connections": [_connection(card, one) for one in card.connections],
    }


def _connection(card: ProviderCard, one: ConnectionInfo) -> Answer:
    return {
        "id": one.id,
        "name": one.name,
        "key_hint": one.key_hint,
        "state_words": STATES.get(one.state, one.state),
        "address": one.base_url if one.base_url != card.base_url else "",
    }
