"""Chat completions as data: the body that asks and what the reply says. Used online and by batch jobs alike."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from components.errors import ContentRefused, CutOff, ProviderDown, ProviderError, ReplyError
from components.llms.typing import GenerateOutput, Logprob, TokenStatistics

TOKEN_FIELDS = ("max_tokens", "max_completion_tokens")
REASONING = re.compile(r"^(?:[^/]+/)*(?:o[134](?:$|[-:.])|gpt-5(?!.*-chat))", re.IGNORECASE)
REFUSED_BY_REASONING = (
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "logprobs", "top_logprobs",
)  # fmt: skip
DEFAULTS = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "logprobs": False}
FINISH = {
    "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop", "complete": "stop",
    "max_tokens": "length", "model_length": "length", "safety": "content_filter", "refusal": "content_filter",
}  # fmt: skip
"""What servers call the end of an answer, in OpenAI's words."""


@lru_cache(maxsize=1_000)
def is_reasoning(model: str) -> bool:
    """Whether a model thinks before it answers, going by its name."""
    return REASONING.match(model) is not None


def chat_body(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    n: int = 1,
    max_tokens: int | None = None,
    options: Mapping[str, Any] | None = None,
    response_format: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    tokens_field: str = "max_tokens",
    seed_field: str = "seed",
    refused: Collection[str] = (),
) -> dict[str, Any]:
    """The body of a chat completion. Options that are None stay with the server's defaults; `extra` wins over all."""
    body: dict[str, Any] = {"model": model, "messages": messages}
    if n > 1:
        body["n"] = n
    if max_tokens is not None:
        body[tokens_field] = max_tokens
    for name, value in (options or {}).items():
        if value is not None and name not in refused and not (name == "logprobs" and value is False):
            body[seed_field if name == "seed" else name] = value
    if "top_logprobs" in body and not body.get("logprobs"):
        del body["top_logprobs"]
    if response_format is not None:
        body["response_format"] = response_format
    if extra:
        body.update(extra)
    return body


def text_body(model: str, prompt: str, **rest: Any) -> dict[str, Any]:
    """The body of a completion of bare text, with the arguments of `chat_body`."""
    body = chat_body(model, (), **rest)
    del body["messages"]
    if body.pop("logprobs", False):
        body["logprobs"] = body.pop("top_logprobs", None) or 1
    return {"model": model, "prompt": prompt} | body


def missed_by_reasoning(options: Mapping[str, Any]) -> list[str]:
    """The options that a reasoning model refuses and that were set to something else than their default."""
    return [
        name for name in REFUSED_BY_REASONING if options.get(name) is not None and options[name] != DEFAULTS.get(name)
    ]


def parse_chat(data: Mapping[str, Any], n: int = 1) -> GenerateOutput:
    """The generations of a chat completion; fewer than `n` where the server gave fewer.

    Raises: ContentRefused when the model or a filter declined, ReplyError for an answer without text; for a
    generation among others that are good, it is None instead.
    """
    return _parsed(data, n, _chat_text, _chat_logprobs)


def parse_text(data: Mapping[str, Any], n: int = 1) -> GenerateOutput:
    """The generations of a completion of bare text, as `parse_chat` gives them."""
    return _parsed(data, n, _plain_text, _plain_logprobs)


def statistics_of(usage: Any, count: int) -> TokenStatistics:
    """What the provider counted, per generation: the input goes to the first, the output is shared out evenly."""
    if not isinstance(usage, Mapping):
        return {}
    read = usage.get("prompt_tokens", usage.get("input_tokens"))
    written = usage.get("completion_tokens", usage.get("output_tokens"))
    if not isinstance(read, int) and not isinstance(written, int):
        return {}
    read, written = (given if isinstance(given, int) else 0 for given in (read, written))
    return token_counts(read, written + _thought_apart(usage, read + written), count)


def _thought_apart(usage: Mapping[str, Any], counted: int) -> int:
    """Tokens of thinking that are not among the completion's, as xAI counts them; the total gives it away."""
    details = usage.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    total = usage.get("total_tokens")
    if isinstance(thought, int) and isinstance(total, int) and total >= counted + thought:
        return max(0, thought)
    return 0


def token_counts(read: int, written: int, count: int) -> TokenStatistics:
    """Token sums as lists with one number per generation."""
    count = max(1, count)
    share, rest = divmod(max(0, written), count)
    return {
        "input_tokens": [max(0, read)] + [0] * (count - 1),
        "output_tokens": [share + (index < rest) for index in range(count)],
    }


def declined(said: str = "") -> ContentRefused:
    """The refusal of a model, or of the filter before it."""
    said = " ".join(said.split())[:200]
    return ContentRefused(f"The model declined to answer: {said}" if said else "The provider's filter took the answer.")


def all_thought() -> ReplyError:
    """An answer that never began."""
    return CutOff("The model used all its tokens for thinking. Raise max_new_tokens.")


Failed = TypeVar("Failed", ProviderError, ReplyError, ProviderError | ReplyError)


def with_statistics(error: Failed, statistics: TokenStatistics) -> Failed:
    """The error of an answer that was paid for all the same, with what was counted for it."""
    error.statistics = cast(dict[str, list[int]], statistics)
    return error


def _parsed(data: Mapping[str, Any], n: int, text_of: Any, logprobs_of: Any) -> GenerateOutput:
    given = data.get("choices")
    choices = [choice for choice in given if isinstance(choice, Mapping)] if isinstance(given, list) else []
    if not choices:
        error = ReplyError("The provider sent a reply without an answer.")
        raise with_statistics(error, statistics_of(data.get("usage"), n))
    if len(choices) > 1:
        choices = sorted(choices, key=lambda choice: int(choice.get("index") or 0))[:n]
    statistics = statistics_of(data.get("usage"), len(choices))
    reasons = [finish_reason(choice.get("finish_reason")) for choice in choices]
    texts: list[str | None] = []
    problem: ProviderError | ReplyError | None = None
    for at, choice in enumerate(choices):
        try:
            texts.append(text_of(choice))
        except (ProviderError, ReplyError) as error:
            texts.append(None)
            problem = problem or error
            if isinstance(error, ContentRefused):
                reasons[at] = "content_filter"
    if problem is not None and not any(text is not None for text in texts):
        raise with_statistics(problem, statistics)
    output: GenerateOutput = {"generations": texts, "statistics": statistics, "finish_reasons": reasons}
    if any(choice.get("logprobs") for choice in choices):
        output["logprobs"] = [logprobs_of(choice.get("logprobs")) for choice in choices]
    return output


def finish_reason(said: Any) -> str | None:
    """Why an answer ended: stop, length, content_filter or tool_calls."""
    if not isinstance(said, str):
        return None
    return FINISH.get(said.lower(), said.lower())


def _chat_text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise ReplyError("The model sent an answer without text.")
    reason = choice.get("finish_reason")
    if message.get("refusal"):
        raise declined(str(message["refusal"]))
    if reason == "content_filter":
        raise declined()
    if reason == "error" or isinstance(choice.get("error"), Mapping):
        raise ProviderDown("The provider broke off in the middle of the answer.")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(
            str(part.get("text") or "") for part in content if isinstance(part, Mapping) and part.get("type") == "text"
        )
    if isinstance(content, str) and (content or reason != "length"):
        return content
    if reason == "length":
        raise all_thought()
    if message.get("tool_calls"):
        raise ReplyError("The model asked for a tool in place of answering.")
    raise ReplyError("The model sent an answer without text.")


def _plain_text(choice: Mapping[str, Any]) -> str:
    text = choice.get("text")
    if choice.get("finish_reason") == "content_filter":
        raise declined()
    if not isinstance(text, str):
        raise ReplyError("The model sent an answer without text.")
    return text


def _chat_logprobs(given: Any) -> list[list[Logprob]]:
    if isinstance(given, Mapping) and "tokens" in given:
        return _plain_logprobs(given)
    content = given.get("content") if isinstance(given, Mapping) else None
    return [
        _candidates(entry, [(top["token"], top["logprob"]) for top in entry.get("top_logprobs") or ()])
        for entry in content or ()
    ]


def _plain_logprobs(given: Any) -> list[list[Logprob]]:
    if not isinstance(given, Mapping):
        return []
    tops = given.get("top_logprobs") or []
    return [
        _candidates({"token": token, "logprob": logprob or 0.0}, (tops[at] or {}).items() if at < len(tops) else ())
        for at, (token, logprob) in enumerate(
            zip(given.get("tokens") or (), given.get("token_logprobs") or (), strict=False)
        )
    ]


def _candidates(chosen: Mapping[str, Any], others: Any) -> list[Logprob]:
    """The chosen token, then the others that were likely there."""
    first = Logprob(token=chosen["token"], logprob=chosen["logprob"])
    rest = [Logprob(token=token, logprob=logprob) for token, logprob in others if token != first["token"]]
    return [first, *rest]
