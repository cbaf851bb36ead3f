"""What a model answered to one input: made from parts, checked, and joined."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from components.errors import ContentRefused, ProviderError, ReplyError, RequestRefused
from components.llms.typing import FormattedInput, GenerateOutput, StructuredOutput


def nth(parameters: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The parameters of one of several calls: each its own seed, or they would all answer the same."""
    seed = parameters.get("seed")
    return {**parameters, "seed": seed + index} if index and isinstance(seed, int) else dict(parameters)


def as_output(value: Any, source: str) -> GenerateOutput:
    """One item of what `generate` returned, as a GenerateOutput; a plain list of texts is one too."""
    if isinstance(value, Mapping) and isinstance(value.get("generations"), list):
        return cast(GenerateOutput, {"statistics": {}, **value})
    if isinstance(value, (list, tuple)) and all(item is None or isinstance(item, str) for item in value):
        return {"generations": list(value), "statistics": {}}
    raise ReplyError(
        f"{source} returned {type(value).__name__} for a prompt. "
        'Return a list of texts, or {"generations": [...], "statistics": {...}}.'
    )


def merge_outputs(outputs: Sequence[GenerateOutput | BaseException]) -> GenerateOutput:
    """Several answers to one input as one, in order; one that was refused or unreadable among good ones is None.

    Raises: the first error that is not about one answer alone, or when there is no answer at all.
    """
    errors = [output for output in outputs if isinstance(output, BaseException)]
    for error in errors:
        if len(errors) == len(outputs) or not isinstance(error, (ReplyError, RequestRefused)):
            raise error
    whole = [missing(output) if isinstance(output, BaseException) else output for output in outputs]
    names = {name: None for output in whole for name in output if name != "statistics"}
    merged: dict[str, Any] = {name: [] for name in names}
    statistics: dict[str, list[int]] = {"input_tokens": [], "output_tokens": []}
    for output in whole:
        count = len(output["generations"])
        for name in names:
            merged[name].extend(cast(list[Any], output.get(name)) or [None] * count)
        for kind, counts in cast(dict[str, list[int]], output.get("statistics") or {}).items():
            statistics.setdefault(kind, []).extend(counts)
    return cast(GenerateOutput, merged | {"statistics": statistics})


def missing(error: BaseException) -> GenerateOutput:
    """The place of an answer that did not come."""
    counted = error.statistics if isinstance(error, (ReplyError, ProviderError)) else {}
    reason = "content_filter" if isinstance(error, ContentRefused) else None
    return {"generations": [None], "statistics": cast(Any, dict(counted)), "finish_reasons": [reason]}


def prepare_output(
    generations: list[str | None],
    input_tokens: list[int] | None = None,
    output_tokens: list[int] | None = None,
    logprobs: list[Any] | None = None,
    **extra: list[Any],
) -> GenerateOutput:
    """A GenerateOutput from its parts; `extra` lists have one item per generation."""
    output: dict[str, Any] = {
        "generations": generations,
        "statistics": {"input_tokens": input_tokens or [], "output_tokens": output_tokens or []},
    }
    if logprobs is not None:
        output["logprobs"] = logprobs
    return cast(GenerateOutput, output | extra)


def split_input(input: FormattedInput) -> tuple[Any, StructuredOutput | None]:
    """The messages or text of an input, and the form its answer must take."""
    if isinstance(input, tuple):
        return input
    return input, None
