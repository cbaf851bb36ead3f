"""Which batch API the jobs of a model behind an address of OpenAI's shape go to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.errors import ConfigError
from components.llms.batch.calls import SECONDS
from components.llms.batch.caps import caps
from components.llms.batch.either import EitherBatch, has_batches
from components.llms.batch.local import LocalBatch
from components.llms.batch.openai_family import OpenAIFamilyBatch
from components.llms.batch.protocol import BatchProvider
from components.llms.batch.quirks import QUIRKS, Quirks

if TYPE_CHECKING:
    from components.llms.addressed import Addressed
    from components.llms.batch.wire import Wire
    from components.llms.compatible import CompatibleLLM

UNKNOWN = "custom"
WITHOUT = frozenset({"huggingface", "gemini_openai"})
"""Presets that have no batch API for what their models are sent."""


def wire_of(one: "Addressed", below: str = "", query: Mapping[str, str] | None = None) -> "Wire":
    """The wire to a model's account. Raises: CredentialError without a key."""
    from components.llms.batch.wire import Wire

    endpoint = one.endpoint
    title, seconds = endpoint.site.title, one.timeout or SECONDS
    return Wire(endpoint.site.url + below, endpoint.headers, title, query=query, timeout=seconds)


def compatible_batch(llm: "CompatibleLLM") -> BatchProvider:
    """The provider's own batch API, this machine where it has none, or both where nobody knows yet.

    Raises: ConfigError for a tier of service, which batches do not have.
    """
    kind = kind_of(llm)
    if kind in WITHOUT:
        return LocalBatch(llm)
    if llm.service in ("flex", "priority"):
        raise ConfigError(
            f"service_tier '{llm.service}' does not go with offline batches, which have a price of their own. "
            "Remove one of the two."
        )
    quirks, wire = QUIRKS[kind], wire_of(llm)
    remote = OpenAIFamilyBatch(wire, quirks, caps(kind), llm.account)
    return EitherBatch(remote, LocalBatch(llm), wire) if kind == UNKNOWN else remote


def azure_batch(llm: "CompatibleLLM", below: str, version: str, quirks: Quirks) -> BatchProvider:
    """Azure's batch API, below the resource's address."""
    wire = wire_of(llm, below, {"api-version": version} if version else None)
    return OpenAIFamilyBatch(wire, quirks, caps("azure"), llm.account)


def is_local(llm: "CompatibleLLM") -> bool:
    """Whether new jobs of a model are done on this machine. Raises: ProviderError when its server cannot be asked."""
    kind = kind_of(llm)
    return kind in WITHOUT or (kind == UNKNOWN and not has_batches(llm.account, lambda: wire_of(llm)))


def kind_of(one: "Addressed") -> str:
    """Whose batch API is at an address: a provider's id, or `custom` where nobody knows."""
    if one.preset_id in WITHOUT:
        return one.preset_id
    preset = one.endpoint.site.preset.id
    return preset if preset in QUIRKS or preset in WITHOUT else UNKNOWN
