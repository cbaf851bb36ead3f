"""What batch jobs ask of a model, whether it writes texts or makes vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from components.llms.batch.protocol import BatchProvider
from components.llms.pricing import Price


class BatchModel(Protocol):
    """A model whose inputs can be sent as batch jobs."""

    jobs_ids: tuple[str, ...] | None
    offline_batch_generation_block_until_done: int | None

    @property
    def model_name(self) -> str: ...

    @property
    def price(self) -> Price | None: ...

    def signature(self) -> str: ...

    def dump(self) -> dict[str, Any]: ...

    def batch_provider(self) -> BatchProvider: ...

    def batch_requests(
        self, input: Any, num_generations: int, kwargs: Mapping[str, Any]
    ) -> list[tuple[str, dict[str, Any]]]: ...

    def batch_usage(self, path: str, reply: dict[str, Any], num_generations: int) -> tuple[int, int]: ...

    def batch_output(self, replies: Sequence[dict[str, Any]], num_generations: int) -> Any: ...

    def most_tokens(self, input: Any, num_generations: int, kwargs: Mapping[str, Any]) -> tuple[int, int]: ...
