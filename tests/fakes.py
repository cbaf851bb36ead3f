"""Fakes of our own contracts, shared by every test."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import PrivateAttr

from components.errors import ReplyError
from components.llms.llm import AsyncLLM
from components.steps.step import GeneratorStep
from components.steps.tasks.task import Task

Trouble = Callable[[str, int], Exception | None]


class EchoLLM(AsyncLLM):
    """Answers `echo: <prompt>`, after the trouble it is told to make: trouble(text, nth call for this text)."""

    model: str = "echo"
    """Its name."""

    _trouble: Trouble | None = PrivateAttr(default=None)
    _calls: Counter[str] = PrivateAttr(default_factory=Counter)
    _delay: Callable[[str], float] | None = PrivateAttr(default=None)
    _flight: dict[str, int] = PrivateAttr(default_factory=lambda: {"now": 0, "most": 0})
    _tokens: tuple[int, int] = PrivateAttr(default=(3, 5))

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def calls(self) -> Counter[str]:
        return self._calls

    @property
    def most_in_flight(self) -> int:
        return self._flight["most"]

    def troubled_by(self, trouble: Trouble) -> "EchoLLM":
        self._trouble = trouble
        return self

    def delayed_by(self, delay: Callable[[str], float]) -> "EchoLLM":
        self._delay = delay
        return self

    async def agenerate(self, input: Any, num_generations: int = 1, temperature: float = 1.0) -> Any:
        text = str(input[-1]["content"])
        self._calls[text] += 1
        self._flight["now"] += 1
        self._flight["most"] = max(self._flight.values())
        try:
            await asyncio.sleep(self._delay(text) if self._delay else 0)
            error = self._trouble(text, self._calls[text]) if self._trouble else None
            if error is not None:
                raise error
        finally:
            self._flight["now"] -= 1
        tokens_in, tokens_out = self._tokens
        return {
            "generations": [f"echo: {text}" if n == 0 else f"echo {n}: {text}" for n in range(num_generations)],
            "statistics": {
                "input_tokens": [tokens_in] + [0] * (num_generations - 1),
                "output_tokens": [tokens_out] * num_generations,
            },
        }


class Ask(Task):
    """Asks the model to answer `instruction`; an answer that says `unreadable` cannot be read."""

    reads: ClassVar[str] = "instruction"

    @property
    def inputs(self) -> list[str]:
        return [self.reads]

    @property
    def outputs(self) -> list[str]:
        return ["generation", "model_name"]

    def format_input(self, input: dict[str, Any]) -> Any:
        return [{"role": "user", "content": str(input[self.reads])}]

    def format_output(self, output: str | None, input: dict[str, Any] | None = None) -> dict[str, Any]:
        if output is not None and "unreadable" in output:
            raise ReplyError("The answer cannot be read.")
        return {"generation": output}


class Review(Ask):
    """Asks the model about `generation` and calls its answer `verdict`."""

    reads: ClassVar[str] = "generation"

    @property
    def outputs(self) -> list[str]:
        return ["verdict", "model_name"]

    def format_output(self, output: str | None, input: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"verdict": output}


class Numbers(GeneratorStep):
    """Rows `q0`, `q1` and so on."""

    count: int = 10
    """How many."""

    @property
    def outputs(self) -> list[str]:
        return ["instruction", "n"]

    def process(self, offset: int = 0) -> Any:
        rows = [{"instruction": f"q{n}", "n": n} for n in range(offset, self.count)]
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size], start + self.batch_size >= len(rows)
