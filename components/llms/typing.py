"""The shapes that go into and come out of a model."""

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict


# A message may say more (`name`, `tool_call_id`); validation must not drop it.
@with_config(ConfigDict(extra="allow"))
class ChatItem(TypedDict):
    """One message: who speaks, and the text or the list of content parts."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]]


ChatType = list[ChatItem]

INSTRUCTING = frozenset({"system", "developer"})
"""The roles whose messages go where a provider keeps instructions apart."""


class StructuredOutput(TypedDict, total=False):
    """The form an answer must take."""

    format: Literal["json", "regex"]
    schema: Any
    """A pydantic model, a JSON Schema, or a regular expression."""
    mode: str
    max_retries: int
    whitespace_pattern: str


StandardInput = ChatType
StructuredInput = tuple[ChatType, StructuredOutput | None]
FormattedInput = ChatType | StructuredInput | str
"""What a model is asked: messages, messages with the form of the answer, or bare text to complete."""


class TokenStatistics(TypedDict, total=False):
    """Tokens per generation; the sums are what the provider counted."""

    input_tokens: list[int]
    output_tokens: list[int]
    cost: list[float]
    """US dollars, where the provider says what it charged."""


class Counted(TypedDict):
    """What every call gives beside its answer."""

    statistics: TokenStatistics


class Logprob(TypedDict):
    """One candidate token."""

    token: str
    logprob: float


class GenerateOutput(TypedDict):
    """What a model answered to one input; every list has one item per generation.

    Log probabilities hold, for each token, the one that was chosen and then the others that were likely.
    """

    generations: list[str | None]
    statistics: TokenStatistics
    logprobs: NotRequired[list[list[list[Logprob]]]]
    finish_reasons: NotRequired[list[str | None]]


LLMOutput = list[str | None]
HiddenState = list[float]
