"""Which batch API the jobs of an embedding model go to; there is none on this machine."""

from components.errors import ConfigError
from components.llms.addressed import Addressed
from components.llms.batch.caps import all_caps, caps
from components.llms.batch.choice import UNKNOWN, kind_of, wire_of
from components.llms.batch.either import has_batches
from components.llms.batch.openai_family import OpenAIFamilyBatch
from components.llms.batch.protocol import BatchProvider
from components.llms.batch.quirks import QUIRKS
from components.llms.providers import PRESETS


def embeddings_batch(model: Addressed) -> BatchProvider:
    """The provider's batch API. Raises: ConfigError where it takes no embeddings."""
    kind = kind_of(model)
    if kind not in QUIRKS or not caps(kind).has_embeddings:
        raise ConfigError(_sentence(model))
    return OpenAIFamilyBatch(wire_of(model), QUIRKS[kind], caps(kind), model.account)


def check_batches(model: Addressed) -> None:
    """See that jobs can be made; a server of which nothing is known is asked once.

    Raises: ConfigError where they cannot; ProviderError when the server cannot be asked.
    """
    embeddings_batch(model)
    if kind_of(model) == UNKNOWN and not has_batches(model.account, lambda: wire_of(model)):
        raise ConfigError(_sentence(model))


def _sentence(model: Addressed) -> str:
    able = [PRESETS[id].title for id, known in all_caps().items() if known.has_embeddings and id in PRESETS]
    return (
        f"{model.endpoint.site.title} takes no batch jobs for embeddings. Set use_offline_batch_generation to false, "
        f"or use a provider that does: {', '.join(able)}."
    )
