"""Whether what a model is to be asked is a prompt at all."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from components.errors import ConfigError
from components.llms.typing import ChatType


def check_prompt(prompt: Any, title: str) -> None:
    """Raises: ConfigError unless it is text, a list of messages, or such a list with the form of the answer."""
    messages = prompt[0] if isinstance(prompt, tuple) and len(prompt) == 2 else prompt
    if isinstance(messages, str):
        return
    if not isinstance(messages, list):
        raise ConfigError(f"{title} must be a list of messages, or text, not {type(messages).__name__}.")
    try:
        _messages().validate_python(messages)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        number = int(place[0]) + 1
        message = messages[number - 1]
        if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
            raise ConfigError(f"{title}: message {number} must be a dict with 'role' and 'content'.") from None
        what = (
            "'role' must be system, developer, user, assistant or tool"
            if "role" in place
            else "'content' must be text or a list of parts"
        )
        raise ConfigError(f"{title}: message {number} is wrong: {what}.") from None


@cache
def _messages() -> TypeAdapter[ChatType]:
    return TypeAdapter(ChatType)
