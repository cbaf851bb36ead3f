"""The script that is running, to be published with what it made."""

import sys
from pathlib import Path

from components.errors import ConfigError
from components.llms.failures import redacted


def running_script() -> str:
    """The text of the running script.

    Raises: ConfigError in a notebook or an application, and for a script that seems to hold a key.
    """
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(name) if name else None
    if path is None or path.suffix != ".py" or path.name == "__main__.py" or not path.is_file():
        raise ConfigError("There is no script to publish: none is running. Leave out include_script.")
    text = path.read_text(encoding="utf-8")
    if redacted(text, {}) != text:
        raise ConfigError(
            f"{path.name} seems to hold a key, so nothing was published. "
            "Put the key into an environment variable, or leave out include_script."
        )
    return text
