"""What must not be told: keys, wherever somebody's code repeats them."""

import os
import re
import traceback

from pydantic import BaseModel, SecretStr

from components.vault import keys_lent

SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
KEY_SHAPE = re.compile(
    r"\b(?:sk|pk|hf|gsk|xai|key|csk|fw|r8|nvapi|AIza|AQ)[-_.]?(?=[A-Za-z*•._-]*[0-9])[A-Za-z0-9*•._-]{16,}"
)
SHORTEST = 8
"""Letters of a key; anything shorter is a word for servers that need none, and would black out innocent ones."""

_given: set[str] = set()


def keep_secrets_of(component: BaseModel) -> None:
    """Never tell the keys that a script gave to this component itself."""
    for value in (*vars(component).values(), *(component.__pydantic_private__ or {}).values()):
        if isinstance(value, SecretStr):
            _given.add(value.get_secret_value().strip())


def without_keys(text: str) -> str:
    """The text without any key that this process was given or has in its environment, and without what looks like one.

    Variables of the environment count as keys where their name says so.
    """
    environment = {value.strip() for name, value in os.environ.items() if SECRET_NAME.search(name)}
    keys = {key for key in environment | keys_lent() | _given if len(key) >= SHORTEST}
    # The longest first, as one key may begin like another.
    for key in sorted(keys, key=len, reverse=True):
        text = text.replace(key, "[key]")
    return KEY_SHAPE.sub("[key]", text)


def traceback_of(error: BaseException) -> str:
    """Where an error came from, for a log, without keys."""
    return without_keys("".join(traceback.format_exception(error))).rstrip()
