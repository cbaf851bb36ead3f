"""What providers take and promise for batch jobs, read from `caps.toml`, the one place that says it."""

import tomllib
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from components.llms.batch.protocol import Caps

FILE = "caps.toml"


@cache
def all_caps() -> dict[str, Caps]:
    """Every provider's caps by its id."""
    tables = tomllib.loads(files("components.llms.batch").joinpath(FILE).read_text(encoding="utf-8"))
    # Where the file names no days or no hours, nobody does: what the class takes for granted must not fill in.
    unsaid = {"results_days": None, "worst_hours": None}
    told = {
        provider: {**unsaid, **table, "looked_up": table["looked_up"].isoformat()} for provider, table in tables.items()
    }
    return TypeAdapter(dict[str, Caps]).validate_python(told)


def caps(provider_id: str) -> Caps:
    """The caps of a provider. Raises: KeyError for one that has no batch jobs."""
    return all_caps()[provider_id]
