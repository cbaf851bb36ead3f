"""Google's generateContent: the body that asks and what the reply says."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import validate_call

from components.component import ModelName
from components.errors import ReplyError
from components.llms.anthropic import DATA_URL
from components.llms.batch.caps import caps
from components.llms.batch.choice import wire_of
from components.llms.batch.gemini import GeminiBatch
from components.llms.batch.protocol import BatchProvider
from components.llms.chat import all_thought, declined, token_counts, with_statistics
from components.llms.output import split_input
from components.llms.parameters import (
    ExtraBody,
    Logprobs,
    MaxNewTokens,
    Penalty,
    Seed,
    StopTexts,
    Temperature,
    TopK,
    TopLogprobs,
    TopP,
)
from components.llms.remote import RemoteLLM
from components.llms.structured import Form, Rung
from components.llms.typing import INSTRUCTING, ChatItem, FormattedInput, GenerateOutput, Logprob

ENDED = {"STOP": "stop", "MAX_TOKENS": "length"}
DECLINED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"})


class GeminiLLM(RemoteLLM):
    """A Gemini model at Google."""

    preset_id: ClassVar[str] = "gemini"
    source: ClassVar[str] = "https://ai.google.dev/api/generate-content"
    answers_many: ClassVar[bool] = False

    model: ModelName
    """The model's name, such as gemini-2.5-flash."""

    @property
    def model_name(self) -> str:
        return self.model.removeprefix("models/")

    @validate_call
    async def agenerate(
        self,
        input: FormattedInput,
        num_generations: int = 1,
        max_new_tokens: MaxNewTokens = 128,
        temperature: Temperature = None,
        top_p: TopP = None,
        top_k: TopK = None,
        stop: StopTexts = None,
        seed: Seed = None,
        logprobs: Logprobs = None,
        top_logprobs: TopLogprobs = None,
        frequency_penalty: Penalty = None,
        presence_penalty: Penalty = None,
        extra_body: ExtraBody = None,
    ) -> GenerateOutput:
        """One answer to messages."""
        prompt, form = split_input(input)[0], self._form(input)
        if isinstance(prompt, str):
            prompt = [ChatItem(role="user", content=prompt)]
        options = {
            "maxOutputTokens": max_new_tokens,
            "temperature": temperature,
            "topP": top_p,
            "topK": top_k,
            "stopSequences": [stop] if isinstance(stop, str) else stop,
            "seed": seed,
            "responseLogprobs": logprobs or None,
            "logprobs": top_logprobs if logprobs else None,
            "frequencyPenalty": frequency_penalty,
            "presencePenalty": presence_penalty,
        }

        def request() -> tuple[str, dict[str, Any]]:
            rung = self._rung(form) if form is not None else Rung.PROMPT
            path = f"/models/{quote(self.model_name, safe='')}:generateContent"
            return path, content_body(prompt, options, form, rung, extra_body)

        return parse_content(await self._insist(request, form))

    def batch_provider(self) -> BatchProvider:
        return GeminiBatch(wire_of(self), caps("gemini"), self.account)

    @property
    def has_batch_api(self) -> bool:
        return True

    def _read(self, reply: Mapping[str, Any], count: int) -> GenerateOutput:
        return parse_content(reply)


def content_body(
    messages: Sequence[ChatItem],
    options: Mapping[str, Any],
    form: Form | None = None,
    rung: Rung = Rung.JSON_SCHEMA,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a generateContent request; `options` are named as in generationConfig."""
    config = {name: value for name, value in options.items() if value is not None}
    if form is not None:
        messages = form.messages(rung, messages)
        if rung is not Rung.PROMPT:
            config["responseMimeType"] = "application/json"
        if rung is Rung.JSON_SCHEMA:
            config["responseJsonSchema"] = form.schema
    system = [part for message in messages if message["role"] in INSTRUCTING for part in _parts(message)]
    body: dict[str, Any] = {
        "contents": [
            {"role": "model" if message["role"] == "assistant" else "user", "parts": _parts(message)}
            for message in messages
            if message["role"] not in INSTRUCTING
        ],
        "generationConfig": config,
    }
    if system:
        body["systemInstruction"] = {"parts": system}
    return body | dict(extra or {})


def parse_content(data: Mapping[str, Any]) -> GenerateOutput:
    """The answer in a reply. Raises: ContentRefused when a filter took it, ReplyError without a text."""
    usage = data.get("usageMetadata") or {}
    written = (usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0)
    statistics = token_counts(usage.get("promptTokenCount") or 0, written, 1) if usage else {}
    blocked = (data.get("promptFeedback") or {}).get("blockReason")
    if blocked:
        raise with_statistics(declined(f"prompt blocked ({blocked})"), statistics)
    candidates = data.get("candidates")
    if not isinstance(candidates, list) or not candidates:
        raise with_statistics(ReplyError("The provider sent a reply without an answer."), statistics)
    candidate = candidates[0]
    reason = str(candidate.get("finishReason") or "")
    if reason in DECLINED:
        raise with_statistics(declined(f"finish reason {reason}"), statistics)
    parts = (candidate.get("content") or {}).get("parts") or []
    texts = [str(part["text"]) for part in parts if "text" in part and not part.get("thought")]
    if not texts:
        empty = all_thought() if reason == "MAX_TOKENS" else ReplyError("The model sent an answer without text.")
        raise with_statistics(empty, statistics)
    output: GenerateOutput = {
        "generations": ["".join(texts)],
        "statistics": statistics,
        "finish_reasons": [ENDED.get(reason, reason.lower() or None)],
    }
    if candidate.get("logprobsResult"):
        output["logprobs"] = [_logprobs(candidate["logprobsResult"])]
    return output


def _parts(message: ChatItem) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"text": content}] if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"text": part.get("text", "")}
    given = part.get("image_url")
    url = str(given.get("url") if isinstance(given, Mapping) else given)
    found = DATA_URL.match(url)
    if found:
        return {"inlineData": {"mimeType": found[1], "data": found[2]}}
    return {"fileData": {"fileUri": url}} if given else part


def _logprobs(given: Mapping[str, Any]) -> list[list[Logprob]]:
    tops = given.get("topCandidates") or []
    rows: list[list[Logprob]] = []
    for at, chosen in enumerate(given.get("chosenCandidates") or []):
        others = tops[at].get("candidates") or [] if at < len(tops) else []
        named = [chosen, *(other for other in others if other.get("token") != chosen.get("token"))]
        rows.append([Logprob(token=one.get("token", ""), logprob=one.get("logProbability", 0.0)) for one in named])
    return rows
