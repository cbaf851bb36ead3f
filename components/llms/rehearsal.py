"""A model that asks nobody: it answers from examples, to check the wiring of a pipeline at no cost."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from pydantic import Field

from components.component import Incidental
from components.llms.llm import AsyncLLM
from components.llms.output import prepare_output
from components.llms.pricing import estimate_tokens
from components.llms.typing import FormattedInput, GenerateOutput

Answers = Callable[[FormattedInput, int], str]
NO_EXAMPLE = "This is a rehearsal: no model was asked, and there is no example for this answer."

_answers: ContextVar[Answers | None] = ContextVar("rehearsal", default=None)


@contextmanager
def rehearsing(answers: Answers) -> Iterator[None]:
    """Answer every prompt inside the block with `answers(prompt, number of the generation)`."""
    token = _answers.set(answers)
    try:
        yield
    finally:
        _answers.reset(token)


class RehearsalLLM(AsyncLLM):
    """No model at all: answers are the examples that each task declares. They are marked as a rehearsal."""

    is_rehearsal: ClassVar[bool] = True
    is_local: ClassVar[bool] = True

    latency_ms: Incidental[float] = Field(0.0, ge=0)
    """How long an answer takes, to see what a run looks like."""

    @property
    def model_name(self) -> str:
        return "rehearsal"

    async def agenerate(self, input: FormattedInput, num_generations: int = 1, **kwargs: Any) -> GenerateOutput:
        """The examples for a prompt; generation parameters are accepted, and change nothing."""
        if self.latency_ms:
            await asyncio.sleep(self.latency_ms / 1000)
        return self._examples(input, num_generations)

    def batch_requests(
        self, input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]
    ) -> list[tuple[str, dict[str, Any]]]:
        # The examples are those of the task that asks; whoever collects the batch does not know them.
        reply = self._examples(input, num_generations)
        return [(path, {**body, "reply": reply}) for path, body in super().batch_requests(input, num_generations, {})]

    def _examples(self, input: FormattedInput, num_generations: int) -> GenerateOutput:
        answers = _answers.get()
        texts = [answers(input, index) if answers else NO_EXAMPLE for index in range(num_generations)]
        return prepare_output(
            list(texts),
            input_tokens=[estimate_tokens(input)] + [0] * (num_generations - 1),
            output_tokens=[estimate_tokens(text) for text in texts],
            finish_reasons=["stop"] * num_generations,
        )
