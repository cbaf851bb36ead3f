"""Generation parameters that models share, with their bounds and what a form says about them."""

from typing import Annotated, Any, Literal

from pydantic import Field

Temperature = Annotated[float | None, Field(ge=0, le=2, description="0 is steady, higher is more varied.")]
TopP = Annotated[float | None, Field(gt=0, le=1, description="Choose among the likeliest words up to this share.")]
MaxNewTokens = Annotated[int, Field(ge=1, description="The longest answer, in tokens.")]
StopTexts = Annotated[str | list[str] | None, Field(description="Texts at which the answer ends.")]
Seed = Annotated[int | None, Field(description="The same seed asks for the same answer again.")]
Penalty = Annotated[float | None, Field(ge=-2, le=2, description="Above 0 the model repeats itself less.")]
TopK = Annotated[int | None, Field(ge=1, description="Choose among this many of the likeliest words.")]
Logprobs = Annotated[bool | None, Field(description="Give the log probability of every token.")]
TopLogprobs = Annotated[int | None, Field(ge=0, le=20, description="And those of this many likely others.")]
Echo = Annotated[bool | None, Field(description="Repeat the prompt before the answer; for bare text only.")]
ResponseFormat = Annotated[dict[str, Any] | None, Field(description="OpenAI's response_format, sent as it is.")]
ExtraBody = Annotated[dict[str, Any] | None, Field(description="More fields of the request, sent as they are.")]
ReasoningEffort = Annotated[
    Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None,
    Field(description="How long a reasoning model thinks."),
]
