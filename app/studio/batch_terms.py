"""On which terms a provider takes a batch: what it costs, what is saved, how long it may take."""

import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.studio.connections import Connections
from components.errors import StillroomError
from components.llms.batch.protocol import BatchProvider, Caps
from components.llms.llm import LLM
from components.llms.pricing import Price
from components.llms.providers import CUSTOM, preset_at
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.planning import BYTES_PER_TOKEN
from components.pipeline.batch.poller import Poller
from components.pipeline.ledger.tables import BatchJob, BatchSet
from components.vault import lend

THIS_MACHINE = "This machine"
LOCAL_ACCOUNT = "this machine"
LOCAL_ID = "local_"
PATIENCE_HOURS = 26
"""After so long a batch is late, where its provider names no time."""


@dataclass(frozen=True)
class Terms:
    """What holds for the batches of one model at one account."""

    caps: Caps
    price: Price | None
    """What tokens cost online; None where nobody knows."""
    discount: float
    """The share of the price that a batch of this model saves; some providers discount only some models."""
    most_written: int
    """Tokens that one answer has at most."""

    @property
    def is_free(self) -> bool:
        """Nobody charges for it."""
        return self.price is not None and self.price.is_free

    def most(self, size: int, requests: int) -> float | None:
        """US dollars that a batch of so many bytes and requests costs at most; None where nobody knows the price."""
        if self.price is None:
            return None
        return self.price.cost(size // BYTES_PER_TOKEN, requests * self.most_written) * (1 - self.discount)

    def saving(self, cost: float) -> float:
        """What the same would have cost more online."""
        return cost * self.discount / (1 - self.discount) if self.discount < 1 else 0.0


class KnownTerms:
    """Looks terms up, and remembers them: a list of jobs is read every few seconds."""

    def __init__(self, poller: Poller, connections: Connections) -> None:
        self._poller, self._connections = poller, connections
        self._known: dict[str, Terms] = {}
        self._lock = threading.Lock()

    def of(self, batch: BatchSet) -> Terms | None:
        """The terms of a set; None while its key or its connection is missing."""
        with self._lock:
            known = self._known.get(batch.key)
        if known is not None:
            return known
        with lend(self._connections.vault()):
            try:
                terms = terms_of(*self._poller.open_provider(batch), count=batch.num_generations)
            except StillroomError:
                return None
        with self._lock:
            self._known[batch.key] = terms
        return terms

    def forget(self) -> None:
        """Look everything up anew, as after a key was entered."""
        with self._lock:
            self._known.clear()


def terms_of(provider: BatchProvider, model: BatchModel, *, count: int = 1) -> Terms:
    """What holds for a model at its provider."""
    caps = provider.caps
    written = model.most_tokens("", count, model.get_generation_kwargs() if isinstance(model, LLM) else {})[1]
    try:
        price = Price(0, 0) if isinstance(model, LLM) and model.is_rehearsal else model.price
    except StillroomError:
        price = None
    return Terms(caps, price, discount_of(caps, model.model_name), written)


def discount_of(caps: Caps, model: str) -> float:
    """The share of the price that a batch of this very model saves."""
    return caps.discount if caps.discounted_models is None or model in caps.discounted_models else 0.0


def is_on_this_machine(account: str, job: BatchJob | None = None) -> bool:
    """Whether the rows are asked from here, so that the machine has to stay on."""
    ids = (job.remote_id or "", job.input_ref or "") if job else ()
    return account == LOCAL_ACCOUNT or any(one.startswith(LOCAL_ID) for one in ids)


def provider_title(account: str, job: BatchJob | None = None) -> str:
    """Who does the work, in a word or two."""
    if is_on_this_machine(account, job):
        return THIS_MACHINE
    url = account.partition("#")[0]
    known = preset_at(url)
    return known.title if known is not CUSTOM else urlsplit(url).netloc or url
