"""What a server answers when it is asked for embeddings, read by the index of each vector and never by its place."""

from collections.abc import Mapping
from typing import Any, cast

from components.errors import ReplyError
from components.llms.typing import Counted, TokenStatistics


class Vectors(Counted):
    """A vector for each input, and the tokens that were read for them."""

    vectors: list[list[float]]


def read_vectors(reply: Mapping[str, Any], count: int) -> Vectors:
    """The vectors in a reply to `count` inputs. Raises: ReplyError unless there is just one for each of them."""
    statistics = statistics_of(reply)
    try:
        return {"vectors": _in_order(reply.get("data"), count), "statistics": statistics}
    except ReplyError as error:
        error.statistics = cast(Mapping[str, list[int]], statistics)
        raise


def statistics_of(reply: Mapping[str, Any]) -> TokenStatistics:
    """The tokens that a reply counts; nothing where it counts none."""
    usage = reply.get("usage")
    counted = usage if isinstance(usage, Mapping) else {}
    read = counted.get("prompt_tokens") or counted.get("total_tokens")
    return {"input_tokens": [read], "output_tokens": [0]} if isinstance(read, int) else {}


def _in_order(data: Any, count: int) -> list[list[float]]:
    if not isinstance(data, list) or len(data) != count:
        got = f"{len(data)} vectors" if isinstance(data, list) else "no list of vectors"
        raise ReplyError(f"The server gave {got} for {count} inputs.")
    found: dict[int, list[float]] = {}
    for item in data:
        index = item.get("index") if isinstance(item, Mapping) else None
        if type(index) is not int or not 0 <= index < count:
            raise ReplyError(f"The server gave a vector with the index {index!r}, which is that of no input.")
        if index in found:
            raise ReplyError(f"The server gave two vectors with the index {index}, and so none for another input.")
        found[index] = _vector(item.get("embedding"))
    return [found[index] for index in range(count)]


def _vector(value: Any) -> list[float]:
    if not isinstance(value, list) or not value or not all(type(number) in (float, int) for number in value):
        raise ReplyError("The server gave something that is no vector of numbers.")
    return value
