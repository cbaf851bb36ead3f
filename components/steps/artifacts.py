"""Files that a step keeps beside its rows, such as a plot or an index."""

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.errors import ConfigError

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,98}[A-Za-z0-9_-]|[A-Za-z0-9_]")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
METADATA_FILE = "metadata.json"
UNFINISHED = ".part-"

_swapping = threading.Lock()


def keep(
    folder: Path, step: str, name: str, write: Callable[[Path], Any], metadata: Mapping[str, Any] | None = None
) -> None:
    """Have `write` fill the folder of that name, which takes the place of an earlier one once it is complete.

    Raises: ConfigError for a name that is not one plain file name, and for metadata that JSON cannot hold.
    """
    for what, given in (("an artifact", name), ("a step with artifacts", step)):
        if not isinstance(given, str) or not PLAIN_NAME.fullmatch(given) or RESERVED.fullmatch(given):
            raise ConfigError(
                f"{given!r} is no name for {what}. Use a plain file name: letters, digits, '_', '-', '.' and spaces."
            )
    try:
        said = json.dumps(dict(metadata or {}), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The metadata of the artifact '{name}' cannot be kept as JSON: {error}.") from error
    shelf = folder / step
    shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=shelf))
    try:
        write(part)
        (part / METADATA_FILE).write_text(said, encoding="utf-8")
        # Rows are worked on in several threads, and each may keep an artifact of the same name.
        with _swapping:
            shutil.rmtree(shelf / name, ignore_errors=True)
            part.rename(shelf / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
