"""Write the next message of each conversation."""

from collections.abc import Mapping
from typing import Any

from components.errors import ConfigError
from components.llms.typing import FormattedInput
from components.steps.tasks.task import Task
from components.steps.tasks.text_generation import answered
from components.steps.typing import Row, StepColumns

ROLES = ("system", "developer", "user", "assistant", "tool")


class ChatGeneration(Task):
    """Ask the model for the next message of the conversation in each row."""

    @property
    def inputs(self) -> StepColumns:
        return ["messages"]

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def format_input(self, input: Row) -> FormattedInput:
        messages = input.get("messages")
        if not isinstance(messages, (list, tuple)) or not messages:
            raise ConfigError(
                f"The column 'messages' holds {type(messages).__name__ if messages else 'nothing'}. "
                'It needs a list of messages, each {"role": ..., "content": ...}.'
            )
        for number, message in enumerate(messages, 1):
            _check_message(message, number)
        if messages[-1]["role"] != "user":
            raise ConfigError(
                f"The last message of 'messages' is by the {messages[-1]['role']}; it must be by the user, "
                "so that the model has something to answer."
            )
        return list(messages)

    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        return {"generation": answered(output)}


def _check_message(message: Any, number: int) -> None:
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise ConfigError(f"Message {number} of 'messages' has no role or no content.")
    if message["role"] not in ROLES:
        raise ConfigError(
            f"Message {number} of 'messages' has the role {message['role']!r}; it must be one of {', '.join(ROLES)}."
        )
    if message["role"] == "user" and not isinstance(message["content"], (str, list)):
        raise ConfigError(f"Message {number} of 'messages' has a content that is no text.")
