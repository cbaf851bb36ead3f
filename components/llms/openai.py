"""OpenAI, and with another address every server that is compatible with it."""

from typing import ClassVar, Literal

from pydantic import validate_call

from components.component import Incidental, ModelName, RuntimeParameter
from components.llms.compatible import CompatibleLLM, Question
from components.llms.output import split_input
from components.llms.parameters import (
    Echo,
    ExtraBody,
    Logprobs,
    MaxNewTokens,
    Penalty,
    ReasoningEffort,
    ResponseFormat,
    Seed,
    StopTexts,
    Temperature,
    TopLogprobs,
    TopP,
)
from components.llms.typing import FormattedInput, GenerateOutput


class OpenAILLM(CompatibleLLM):
    """A model at OpenAI, or at any compatible server by its address."""

    source: ClassVar[str] = "https://platform.openai.com/docs/api-reference/chat"

    model: ModelName
    """The model's name, as the provider writes it."""
    service_tier: Incidental[RuntimeParameter[Literal["auto", "default", "flex", "priority"]]] = None
    """`flex` is half the price at OpenAI: slower, and now and then there is no room."""

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def service(self) -> str:
        return self.service_tier or ""

    @validate_call
    async def agenerate(
        self,
        input: FormattedInput,
        num_generations: int = 1,
        max_new_tokens: MaxNewTokens = 128,
        logprobs: Logprobs = None,
        top_logprobs: TopLogprobs = None,
        echo: Echo = None,
        frequency_penalty: Penalty = None,
        presence_penalty: Penalty = None,
        temperature: Temperature = None,
        top_p: TopP = None,
        stop: StopTexts = None,
        seed: Seed = None,
        response_format: ResponseFormat = None,
        extra_body: ExtraBody = None,
        reasoning_effort: ReasoningEffort = None,
    ) -> GenerateOutput:
        """`num_generations` answers to messages, or completions of a bare text."""
        prompt = split_input(input)[0]
        options = {
            "temperature": temperature,
            "top_p": top_p,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "stop": stop,
            "seed": seed,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
            "reasoning_effort": reasoning_effort,
            "service_tier": self.service_tier,
            "echo": echo if isinstance(prompt, str) else None,
        }
        question = Question(prompt, max_new_tokens, options, self._form(input), response_format, extra_body)
        return await self.ask(question, num_generations)
