"""Where a model can come from, and what a step's data says when another place is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.studio import Studio
from app.studio.connections import ConnectionInfo
from app.studio.providers import ProviderCard
from app.ui.form_fields import label_of
from components import catalog
from components.component import Component
from components.errors import ConfigError
from components.llms.llm import LLM
from components.llms.providers import CUSTOM, preset_at
from components.steps.step import snake_case

Data = dict[str, Any]

REHEARSAL: Final = "rehearsal"
OTHER_SERVER: Final = "other"
FILE_MODEL: Final = "LlamaCppLLM"
STATES: Final = {
    "key_set": "key saved",
    "from_environment": "key from the environment",
    "key_missing": "key missing",
    "server_found": "running on this machine",
    "not_running": "not running",
    "no_key_needed": "no key needed",
}
LENGTHS: Final = ("max_new_tokens", "max_tokens")


def places(studio: Studio) -> list[tuple[str, str]]:
    """Every place for models with its state, those that are ready first; each with the id that `moved_to` takes."""
    cards = studio.providers.cards()
    ready: list[tuple[str, str]] = []
    missing: list[tuple[str, str]] = []
    for card in cards:
        ready += [(_connection_label(card, info), f"connection:{info.name}") for info in card.connections]
        if card.id == CUSTOM.id or any(info.state != "key_missing" for info in card.connections):
            continue
        shelf = ready if card.state in ("from_environment", "server_found") else missing
        shelf.append((f"{card.title} · {state_words(card)}", f"provider:{card.id}"))
    own = [(_class_label(name), f"class:{name}") for name in _other_classes()]
    return [
        *ready,
        *own,
        ("Rehearsal · no model, made-up answers", REHEARSAL),
        *missing,
        ("Another server, by its address", OTHER_SERVER),
    ]


def state_words(card: ProviderCard) -> str:
    """The state of a provider in words."""
    if card.state == "from_environment" and card.variable:
        return f"key from {card.variable}"
    return STATES.get(card.state, card.state)


def place_of(llm: Mapping[str, Any]) -> str:
    """The id of the place that a step's model comes from."""
    use = str(llm.get("use") or "")
    if use == "RehearsalLLM":
        return REHEARSAL
    if llm.get("connection"):
        return f"connection:{llm['connection']}"
    cls = _class(use)
    own = getattr(cls, "preset_id", "") if cls else ""
    if "base_url" in llm:
        known = preset_at(str(llm["base_url"])) if llm["base_url"] else CUSTOM
        return f"provider:{known.id}" if known is not CUSTOM else OTHER_SERVER
    return f"provider:{own}" if own else f"class:{use}"


def moved_to(studio: Studio, llm: Mapping[str, Any], place: str) -> Data:
    """The model's data for another place; generation parameters that it knows too are kept.

    Raises: ConfigError for a place that there is no longer.
    """
    kind, _, name = place.partition(":")
    if place == OTHER_SERVER:
        moved: Data = {"use": "OpenAILLM", "model": "", "base_url": ""}
    elif kind == "class":
        moved = {"use": name}
    elif place == REHEARSAL:
        moved = studio.providers.llm("", provider=REHEARSAL)
    else:
        moved = studio.providers.llm("-", **{kind: name})
        moved[model_field(moved)] = ""
    kept = _kept_parameters(llm.get("generation_kwargs") or {}, str(moved["use"]))
    return moved | ({"generation_kwargs": kept} if kept else {})


def model_field(llm: Mapping[str, Any]) -> str:
    """The field that names the model."""
    cls = _class(str(llm.get("use") or ""))
    return "model_id" if cls is not None and "model" not in cls.model_fields else "model"


def lookup(place: str) -> dict[str, str]:
    """A place as `studio.providers` takes it; empty where it has no list of models."""
    kind, _, name = place.partition(":")
    return {kind: name} if kind in ("connection", "provider") else {}


def _kept_parameters(given: Mapping[str, Any], use: str) -> Data:
    cls = _class(use)
    if cls is None or not issubclass(cls, LLM):
        return {}
    known = cls.generation_model().model_fields
    kept = {name: value for name, value in given.items() if name in known or not known}
    length = next((given[name] for name in LENGTHS if name in given), None)
    wanted = next((name for name in LENGTHS if name in known), None)
    return kept | ({wanted: length} if length is not None and wanted else {})


def _connection_label(card: ProviderCard, info: ConnectionInfo) -> str:
    facts: Sequence[str] = (
        info.title if card.id != CUSTOM.id else info.base_url,
        info.name if info.name != info.provider else "",
        f"key …{info.key_hint}" if info.key_hint else STATES.get(info.state, info.state),
    )
    return " · ".join(fact for fact in facts if fact)


def _other_classes() -> list[str]:
    """Models that no provider of the table stands for."""
    names = (name for name in catalog.names(LLM) if name != "RehearsalLLM")
    return [name for name in names if not getattr(catalog.get(name), "preset_id", "")]


def _class_label(name: str) -> str:
    return "A model file on this machine (GGUF)" if name == FILE_MODEL else label_of(snake_case(name))


def _class(use: str) -> type[Component] | None:
    try:
        return catalog.get(use)
    except ConfigError:
        return None
