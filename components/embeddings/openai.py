"""Embedding models at OpenAI, and with another address at every server that is compatible with it."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, cast

from pydantic import Field, PrivateAttr

from components.component import Incidental, ModelName, RuntimeParameter
from components.embeddings.batch import embeddings_batch
from components.embeddings.embeddings import Embeddings
from components.embeddings.reply import Vectors, read_vectors, statistics_of
from components.errors import ConfigError, RequestRefused
from components.llms.addressed import OPENED, Addressed
from components.llms.batch.local import tokens_of
from components.llms.batch.protocol import BatchProvider
from components.llms.gate import current_gate
from components.llms.loop import run_in_background
from components.llms.pricing import Price, estimate_tokens

PATH = "/embeddings"
MOST_INPUTS = 64
"""Inputs in one request: the reply to these stays well below the largest that is read."""
MOST_TOKENS = 200_000
"""Tokens in one request, about; OpenAI takes 300,000."""


class OpenAIEmbeddings(Addressed, Embeddings):
    """An embedding model at OpenAI, or at any compatible server by its address."""

    source: ClassVar[str] = "https://platform.openai.com/docs/api-reference/embeddings"

    model: ModelName
    """The model's name, as the provider writes it."""
    dimensions: RuntimeParameter[int] = Field(None, ge=1)
    """How many numbers a vector has, for models that let you choose."""
    use_offline_batch_generation: Incidental[RuntimeParameter[bool]] = False
    """Send all texts as a batch job, at half price where the provider offers it, and collect the vectors later."""
    offline_batch_generation_block_until_done: Incidental[RuntimeParameter[int]] = Field(None, ge=1)
    """Wait for the batch job, asking every this many seconds."""
    jobs_ids: Incidental[tuple[str, ...] | None] = None
    """The provider's ids of the batch jobs; set it to adopt jobs that exist already."""
    input_price: Incidental[float | None] = Field(None, ge=0)
    """US dollars per million tokens, where the price list does not know the model or you pay another price."""

    is_local: ClassVar[bool] = False

    _most_inputs: int = PrivateAttr(default=MOST_INPUTS)

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def price(self) -> Price | None:
        """What tokens cost; None where nobody knows."""
        if self.input_price is not None:
            return Price(self.input_price, 0)
        if self.is_free:
            return Price(0, 0)
        listed = self.provider_id
        return Price.look_up(listed, self.model_name) if listed else None

    def load(self) -> None:
        super().load()
        self.__dict__.pop(OPENED, None)
        self.endpoint  # noqa: B018 - a missing key is told before the first call
        self.price  # noqa: B018 - the price list is read here, not on the event loop

    def unload(self) -> None:
        self.__dict__.pop(OPENED, None)
        super().unload()

    def encode(self, inputs: list[str]) -> list[list[float]]:
        """A vector for each text, in the order of the texts.

        Raises: OfflineBatchNotFinished, with the ids of the jobs, while an offline batch runs on.
        """
        _check_texts(inputs)
        if self.use_offline_batch_generation and inputs:
            # Jobs are kept in the ledger, which stands above models; found by name, as no model may import it.
            vectors = import_module("components.pipeline.batch.vectors")
            return cast(list[list[float]], vectors.encode_offline(self, inputs))
        return run_in_background(self.aencode(inputs))

    async def aencode(self, inputs: Sequence[str]) -> list[list[float]]:
        """What `encode` does online, for those who can wait for it."""
        calls = [asyncio.create_task(self._vectors(part, at, len(inputs))) for at, part in _parts(inputs)]
        try:
            return [vector for vectors in await asyncio.gather(*calls) for vector in vectors]
        finally:
            for call in calls:
                call.cancel()

    def most_tokens(self, input: Any, num_generations: int, kwargs: Mapping[str, Any]) -> tuple[int, int]:
        """The most tokens a call reads and writes; with its price, what the spending cap sets aside for it."""
        return sum(estimate_tokens(text) for text in ([input] if isinstance(input, str) else input)), 0

    def batch_provider(self) -> BatchProvider:
        """Batch jobs with this model at its provider. Raises: CredentialError without a key; ConfigError."""
        return embeddings_batch(self)

    def batch_requests(
        self, input: str, num_generations: int, kwargs: Mapping[str, Any]
    ) -> list[tuple[str, dict[str, Any]]]:
        """Path and body of the request for one text, just as it would be sent now."""
        return [(PATH, self._body([input]))]

    def batch_usage(self, path: str, reply: dict[str, Any], num_generations: int) -> tuple[int, int]:
        """Tokens read and written, as a reply counts them."""
        return tokens_of(statistics_of(reply))

    def batch_output(self, replies: Sequence[dict[str, Any]], num_generations: int) -> list[float]:
        """The vector in the reply to one text. Raises: ReplyError as the online call would."""
        return read_vectors(replies[0], 1)["vectors"][0]

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        # One text goes alone, which servers that take no list understand too.
        body: dict[str, Any] = {"model": self.model, "input": texts[0] if len(texts) == 1 else list(texts)}
        if self.dimensions is not None:
            body[self.endpoint.site.preset.dimensions_field] = self.dimensions
        return body

    async def _vectors(self, texts: Sequence[str], first: int, total: int) -> list[list[float]]:
        """The vectors of some of the texts, in as many requests as the server wants."""
        if len(texts) <= self._most_inputs:
            try:
                return await self._ask(texts)
            except RequestRefused as error:
                if type(error) is RequestRefused and error.parameter not in ("", "input"):
                    raise
                if len(texts) == 1:
                    raise _named(error, first, total) from None
        # Too many at once for this server, or one of them is at fault: smaller requests tell which.
        half = (len(texts) + 1) // 2
        vectors = await self._vectors(texts[:half], first, total)
        vectors += await self._vectors(texts[half:], first + half, total)
        self._most_inputs = min(self._most_inputs, half)
        return vectors

    async def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        async def call() -> Vectors:
            return read_vectors(await self._send(PATH, self._body(texts)), len(texts))

        return (await current_gate().call(self, texts, 1, {}, call))["vectors"]


def _check_texts(inputs: Any) -> None:
    if isinstance(inputs, str):
        raise ConfigError("`inputs` is one text. Give a list of texts.")
    for number, text in enumerate(inputs, 1):
        if not isinstance(text, str):
            raise ConfigError(f"Input {number} is {type(text).__name__}, not text.")


def _parts(inputs: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The texts in lots that one request may hold, each with the place of its first."""
    parts: list[tuple[int, list[str]]] = []
    tokens = 0
    for at, text in enumerate(inputs):
        size = estimate_tokens(text)
        if not parts or len(parts[-1][1]) >= MOST_INPUTS or tokens + size > MOST_TOKENS:
            parts.append((at, []))
            tokens = 0
        parts[-1][1].append(text)
        tokens += size
    return parts


def _named(error: RequestRefused, at: int, total: int) -> RequestRefused:
    if total == 1:
        return error
    named = type(error)(
        f"Input {at + 1}: {error}", provider=error.provider, status=error.status, parameter=error.parameter
    )
    named.statistics = error.statistics
    return named
