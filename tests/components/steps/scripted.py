"""Models that answer what a test tells them to."""

from collections.abc import Callable
from typing import Any

from pydantic import PrivateAttr, validate_call

from components.llms.llm import LLM
from components.llms.typing import ChatType, GenerateOutput

Script = Callable[[Any, int], str | None]


class ScriptedLLM(LLM):
    """Answers with `script(prompt, number of the generation)` and remembers what it was asked."""

    _script: list[Script] = PrivateAttr(default_factory=lambda: [lambda _prompt, _index: "an answer"])
    _asked: list[Any] = PrivateAttr(default_factory=list)
    _finish_reason: str = PrivateAttr(default="stop")

    @property
    def model_name(self) -> str:
        return "scripted"

    @property
    def asked(self) -> list[Any]:
        return self._asked

    def answering(self, script: Script | str | None, finish_reason: str = "stop") -> "ScriptedLLM":
        self._script = [script if callable(script) else lambda _prompt, _index: script]
        self._finish_reason = finish_reason
        return self

    def generate(self, inputs: Any, num_generations: int = 1, temperature: float = 1.0) -> list[dict[str, Any]]:
        self._asked.extend(inputs)
        return [
            {
                "generations": [self._script[0](prompt, index) for index in range(num_generations)],
                "statistics": {"input_tokens": [7], "output_tokens": [2] * num_generations},
                "finish_reasons": [self._finish_reason] * num_generations,
            }
            for prompt in inputs
        ]


class FormLLM(ScriptedLLM):
    """A scripted model that can be held to a form."""

    structured_output: dict[str, Any] | None = None
    """The form of every answer."""


class ChatOnlyLLM(LLM):
    """A model as the documentation writes it: it takes chats and nothing else, and returns plain texts."""

    answer: str = "billing"
    """What it says."""

    @property
    def model_name(self) -> str:
        return "chat-only"

    @validate_call
    def generate(self, inputs: list[ChatType], num_generations: int = 1, **kwargs: Any) -> list[GenerateOutput]:
        return [[self.answer] * num_generations for _ in inputs]  # type: ignore[misc]


def asked_text(prompt: Any) -> str:
    """The user's message of a prompt."""
    messages = prompt[0] if isinstance(prompt, tuple) else prompt
    return str(messages[-1]["content"])
