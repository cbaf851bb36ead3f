"""How providers that speak OpenAI's language of files and batches differ from it, as one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

TAG = "stillroom_job"
"""The name of our tag in a batch's metadata."""


class Paging(Enum):
    """How a list of batches goes on."""

    AFTER = "after"
    """After the last id."""
    PAGE = "page"
    """By the number of the page."""
    TOKEN = "token"
    NONE = "none"
    """It comes whole."""


class Results(Enum):
    """Where results are."""

    FILES = "files"
    """An output file and an error file."""
    INSIDE = "inside"
    """Inside the batch itself."""
    PAGES = "pages"


@dataclass(frozen=True)
class Order:
    """A batch to be made."""

    input_ref: str
    tag: str
    model: str
    endpoint: str
    window: str


@dataclass(frozen=True)
class Quirks:
    """One provider's ways. The defaults are OpenAI's."""

    upload: str = "/files"
    purpose: str = "batch"
    names_file: bool = False
    """The form says the file's name once more."""
    batches: str = "/batches"
    cancel: str | None = "/cancel"
    """What follows a batch's address to cancel it; None where that is not possible."""
    prefix: str = "/v1"
    """What stands before the path of the online call."""
    has_url: bool = True
    """Each line says method and url."""
    has_model: bool = True
    """The body in a line names the model."""
    paging: Paging = Paging.AFTER
    results: Results = Results.FILES
    order: Callable[[Order], Mapping[str, Any]] = lambda order: _order(order)


def _order(order: Order) -> dict[str, Any]:
    return _untagged(order) | {"metadata": {TAG: order.tag}}


def _untagged(order: Order) -> dict[str, Any]:
    return {"input_file_id": order.input_ref, "endpoint": order.endpoint, "completion_window": order.window}


def _mistral(order: Order) -> dict[str, Any]:
    return {
        "input_files": [order.input_ref],
        "model": order.model,
        "endpoint": order.endpoint,
        "timeout_hours": hours(order.window),
        "metadata": {TAG: order.tag},
    }


def _xai(order: Order) -> dict[str, Any]:
    return {"name": order.tag, "input_file_id": order.input_ref}


def hours(window: str) -> int:
    """The hours in `24h` or `7d`."""
    return int(window[:-1]) * (24 if window.endswith("d") else 1)


QUIRKS: dict[str, Quirks] = {
    "openai": Quirks(),
    "custom": Quirks(),
    "azure": Quirks(),
    "groq": Quirks(),
    "doubleword": Quirks(),
    "mistral": Quirks(batches="/batch/jobs", has_url=False, has_model=False, paging=Paging.PAGE, order=_mistral),
    "together": Quirks(
        upload="/files/upload", purpose="batch-api", names_file=True, has_url=False, paging=Paging.NONE, order=_untagged
    ),
    "xai": Quirks(cancel=":cancel", paging=Paging.TOKEN, results=Results.PAGES, order=_xai),
    "openrouter": Quirks(cancel=None, has_url=False, results=Results.INSIDE),
}
AZURE_DATED = Quirks(prefix="")
"""Azure's dated API, whose endpoints have no version in them."""
