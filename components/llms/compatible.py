"""How a model behind an API of OpenAI's shape is asked, whatever the server turns out not to take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from components.errors import ConfigError, ProviderError, ReplyError
from components.llms import chat
from components.llms.batch.choice import compatible_batch, is_local
from components.llms.batch.local import is_local_reply, tokens_of
from components.llms.batch.protocol import BatchProvider
from components.llms.output import merge_outputs, nth
from components.llms.remote import RemoteLLM
from components.llms.structured import Form
from components.llms.typing import ChatType, FormattedInput, GenerateOutput


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, before it is known what the server takes."""

    prompt: ChatType | str
    max_tokens: int | None
    options: Mapping[str, Any] = field(default_factory=dict)
    form: Form | None = None
    response_format: Mapping[str, Any] | None = None
    """Sent as it is, in place of what the form would ask for."""
    extra: Mapping[str, Any] | None = None


class CompatibleLLM(RemoteLLM):
    """A model behind an API of OpenAI's shape."""

    @property
    def gives_many(self) -> bool:
        return self._known_site.preset.has_n and not self.habits.answers_one

    def request(self, question: Question, count: int = 1) -> tuple[str, dict[str, Any]]:
        """The path and the body of a request, as the server is known to take it; for batch jobs too."""
        preset, habits = self.endpoint.site.preset, self.habits
        thinks = chat.is_reasoning(self.model_name)
        refused = habits.refused
        if thinks and question.options.get("reasoning_effort") != "none":
            habits.warn(chat.missed_by_reasoning(question.options))
            refused = refused.union(chat.REFUSED_BY_REASONING)
        tokens_field = "max_completion_tokens" if thinks else preset.max_tokens_field
        settings: dict[str, Any] = {
            "n": count,
            "max_tokens": question.max_tokens,
            "options": question.options,
            "extra": question.extra,
            "tokens_field": habits.tokens_field or tokens_field,
            "seed_field": preset.seed_field,
            "refused": refused,
        }
        if isinstance(question.prompt, str):
            if question.form is not None:
                raise ConfigError("Structured output needs messages, not a bare text to complete.")
            return "/completions", chat.text_body(self.model_name, question.prompt, **settings)
        form = question.form
        if form is None or question.response_format is not None:
            body = chat.chat_body(
                self.model_name, question.prompt, response_format=question.response_format, **settings
            )
        else:
            rung = self._rung(form)
            messages, wanted = form.messages(rung, question.prompt), form.response_format(rung)
            body = chat.chat_body(self.model_name, messages, response_format=wanted, **settings)
        return "/chat/completions", body

    async def ask(self, question: Question, count: int = 1) -> GenerateOutput:
        """`count` answers; asked for one by one where the server turns out to give no more at once."""
        outputs = [await self._ask_once(question, count)]
        missing = count - len(outputs[0]["generations"])
        if missing > 0:
            self.habits.answers_one = True
            for at in range(count - missing, count):
                outputs.append(await self._ask_once(replace(question, options=nth(question.options, at)), 1))
        return outputs[0] if len(outputs) == 1 else merge_outputs(outputs)

    async def _ask_once(self, question: Question, count: int) -> GenerateOutput:
        def request() -> tuple[str, dict[str, Any]]:
            return self.request(question, 1 if self.habits.answers_one else count)

        form = question.form if question.response_format is None else None
        data = await self._insist(request, form, kept=(question.extra or {}).keys())
        parse = chat.parse_text if isinstance(question.prompt, str) else chat.parse_chat
        return self._costed(data, count, parse)

    def _costed(self, data: Any, count: int, parse: Callable[[Any, int], GenerateOutput]) -> GenerateOutput:
        """What a reply says, with what the provider says that it cost."""
        cost = self.endpoint.site.preset.cost_of(data.get("usage") if isinstance(data, Mapping) else None)
        try:
            output = parse(data, count)
        except (ProviderError, ReplyError) as error:
            if cost is not None:
                rest = len(error.statistics.get("input_tokens", [0])) - 1
                error.statistics = cast(Any, {**error.statistics, "cost": [cost] + [0.0] * rest})
            raise
        if cost is not None:
            output["statistics"]["cost"] = [cost] + [0.0] * (len(output["generations"]) - 1)
        return output

    def reported_cost(self, reply: Mapping[str, Any]) -> float | None:
        """US dollars that the provider says the answer to a request of a batch did cost; None where it does not."""
        if not is_local_reply(reply):
            return self.endpoint.site.preset.cost_of(reply.get("usage"))
        told = (reply.get("statistics") or {}).get("cost")
        return sum(told) if told else None

    def batch_provider(self) -> BatchProvider:
        return compatible_batch(self)

    @property
    def has_batch_api(self) -> bool:
        return not is_local(self)

    def batch_usage(self, path: str, reply: dict[str, Any], num_generations: int) -> tuple[int, int]:
        # The sums are the same however many generations there are, and the answer need not be read for them.
        if not is_local_reply(reply) and isinstance(reply.get("usage"), Mapping):
            return tokens_of(chat.statistics_of(reply["usage"], 1))
        return super().batch_usage(path, reply, num_generations)

    def _read(self, reply: Mapping[str, Any], count: int) -> GenerateOutput:
        choices = reply.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        is_text = isinstance(first, Mapping) and "message" not in first and "text" in first
        return chat.parse_text(reply, count) if is_text else chat.parse_chat(reply, count)

    def most_tokens(self, input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]) -> tuple[int, int]:
        read, written = super().most_tokens(input, num_generations, kwargs)
        extra = kwargs.get("extra_body") or {}
        longest = max((extra[name] for name in chat.TOKEN_FIELDS if isinstance(extra.get(name), int)), default=0)
        return read, max(written, longest * num_generations)
