"""Arguments that scripts of the older library give and that mean nothing here: refused, never ignored."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from components.errors import ConfigError

INSTEAD = {
    "cache_dir": "What runs made is kept in the home folder; set STILLROOM_HOME to have it elsewhere",
    "storage_parameters": "Rows never travel in files",
    "use_fs_to_pass_data": "Rows never travel in files",
    "load_groups": "A step is loaded once and works as soon as it has rows",
}


def refuse(**given: Any) -> None:
    """Raises: ConfigError for an argument that was given a value, with what to do."""
    for name, value in given.items():
        if value:
            raise ConfigError(f"`{name}` has no meaning here. {INSTEAD[name]}. Leave it out.")


def require(requirements: Iterable[str]) -> None:
    """Raises: ConfigError naming the packages that are not installed, or not in the version that is asked for."""
    missing = [text for text in requirements if not _is_installed(text)]
    if missing:
        quoted = " ".join(f'"{text}"' for text in missing)
        raise ConfigError(
            f"The pipeline needs packages that are not installed. Install them with: pip install {quoted}"
        )


def _is_installed(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
    except InvalidRequirement as error:
        raise ConfigError(
            f"'{text}' is no requirement. Write it as in requirements.txt, such as numpy>=1.26."
        ) from error
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False
