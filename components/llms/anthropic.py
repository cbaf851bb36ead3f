"""Anthropic's messages API: the body that asks and what the reply says."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Field, validate_call

from components.component import ModelName
from components.errors import ConfigError, ReplyError
from components.llms.batch.anthropic import AnthropicBatch
from components.llms.batch.caps import caps
from components.llms.batch.choice import wire_of
from components.llms.batch.protocol import BatchProvider
from components.llms.chat import all_thought, declined, finish_reason, token_counts, with_statistics
from components.llms.output import split_input
from components.llms.parameters import ExtraBody, TopK, TopP
from components.llms.remote import RemoteLLM
from components.llms.structured import Form, Rung
from components.llms.typing import INSTRUCTING, ChatItem, FormattedInput, GenerateOutput

TOOL = "answer"
DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)

MaxTokens = Annotated[int, Field(ge=1, description="The longest answer, in tokens.")]
Warmth = Annotated[float | None, Field(ge=0, le=1, description="0 is steady, higher is more varied.")]
StopSequences = Annotated[list[str] | None, Field(description="Texts at which the answer ends.")]


class AnthropicLLM(RemoteLLM):
    """A Claude model at Anthropic."""

    preset_id: ClassVar[str] = "anthropic"
    source: ClassVar[str] = "https://docs.claude.com/en/api/messages"
    answers_many: ClassVar[bool] = False

    model: ModelName
    """The model's name, such as claude-sonnet-4-5."""

    @property
    def model_name(self) -> str:
        return self.model

    @validate_call
    async def agenerate(
        self,
        input: FormattedInput,
        num_generations: int = 1,
        max_tokens: MaxTokens = 128,
        stop_sequences: StopSequences = None,
        temperature: Warmth = None,
        top_p: TopP = None,
        top_k: TopK = None,
        extra_body: ExtraBody = None,
    ) -> GenerateOutput:
        """One answer to messages."""
        prompt, form = split_input(input)[0], self._form(input)
        if isinstance(prompt, str):
            prompt = [ChatItem(role="user", content=prompt)]
        options = {"stop_sequences": stop_sequences, "temperature": temperature, "top_p": top_p, "top_k": top_k}

        def request() -> tuple[str, dict[str, Any]]:
            known = {name: value for name, value in options.items() if name not in self.habits.refused}
            rung = self._rung(form) if form is not None else Rung.PROMPT
            body = messages_body(self.model, prompt, max_tokens, known, form, rung, extra_body)
            return "/messages" if self.endpoint.site.url.endswith("/v1") else "/v1/messages", body

        return parse_message(await self._insist(request, form, kept=(extra_body or {}).keys()))

    def batch_provider(self) -> BatchProvider:
        below = "" if self.endpoint.site.url.endswith("/v1") else "/v1"
        return AnthropicBatch(wire_of(self, below), caps("anthropic"), self.account)

    @property
    def has_batch_api(self) -> bool:
        return True

    def _read(self, reply: Mapping[str, Any], count: int) -> GenerateOutput:
        return parse_message(reply)

    def _rung(self, form: Form) -> Rung:
        rung = super()._rung(form)
        return Rung.JSON_OBJECT if rung is Rung.JSON_SCHEMA and form.strict is None else rung


def messages_body(
    model: str,
    messages: Sequence[ChatItem],
    max_tokens: int,
    options: Mapping[str, Any] | None = None,
    form: Form | None = None,
    rung: Rung = Rung.JSON_SCHEMA,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a messages request; a form is asked for by its schema, by a tool, or in the prompt."""
    if form is not None and rung is Rung.PROMPT:
        messages = form.messages(rung, messages)
    system = "\n\n".join(_text(message) for message in messages if message["role"] in INSTRUCTING)
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": message["role"], "content": _content(message["content"])}
            for message in messages
            if message["role"] not in INSTRUCTING
        ],
        "max_tokens": max_tokens,
    }
    if system:
        body["system"] = system
    body |= {name: value for name, value in (options or {}).items() if value is not None}
    if form is not None and rung is Rung.JSON_SCHEMA:
        body["output_config"] = {"format": {"type": "json_schema", "schema": form.strict or form.schema}}
    elif form is not None and rung is Rung.JSON_OBJECT:
        body["tools"] = [{"name": TOOL, "description": "Give the answer.", "input_schema": form.schema}]
        body["tool_choice"] = {"type": "tool", "name": TOOL}
    return body | dict(extra or {})


def parse_message(data: Mapping[str, Any]) -> GenerateOutput:
    """The answer in a message. Raises: ContentRefused when the model declined, ReplyError without a text."""
    usage = data.get("usage") or {}
    read = sum(
        usage.get(name) or 0 for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    )
    statistics = token_counts(read, usage.get("output_tokens") or 0, 1) if usage else {}
    parts = data.get("content")
    parts = [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    text = "".join(str(part.get("text") or "") for part in parts if part.get("type") == "text")
    for part in parts:
        if part.get("type") == "tool_use" and part.get("name") == TOOL:
            text = orjson.dumps(part.get("input")).decode()
    reason = data.get("stop_reason")
    if reason == "refusal":
        raise with_statistics(declined(text), statistics)
    if not text and reason == "max_tokens":
        raise with_statistics(all_thought(), statistics)
    if not text and not any(part.get("type") == "text" for part in parts):
        raise with_statistics(ReplyError("The model sent an answer without text."), statistics)
    ended = "stop" if reason == "tool_use" else finish_reason(reason)
    return {"generations": [text], "statistics": statistics, "finish_reasons": [ended]}


def _text(message: ChatItem) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(str(part.get("text") or "") for part in content)


def _content(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") != "image_url":
        return part
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, Mapping) else given
    if not isinstance(url, str):
        raise ConfigError("An image in a message needs a url.")
    found = DATA_URL.match(url)
    if found:
        return {"type": "image", "source": {"type": "base64", "media_type": found[1], "data": found[2]}}
    return {"type": "image", "source": {"type": "url", "url": url}}
