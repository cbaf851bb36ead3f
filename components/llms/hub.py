"""Calls to the Hugging Face Hub, with our errors in place of the library's, which hold the request and its key."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from components.errors import ConfigError, CredentialError, ProviderDown, StillroomError, UnknownModel
from components.llms.failures import error_for, redacted

HUB = "Hugging Face"
T = TypeVar("T")


def hub_endpoint() -> str:
    """The Hub's address, or that of its stand-in in HF_ENDPOINT."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def on_hub(what: str, call: Callable[[], T]) -> T:
    """Do a call of huggingface_hub; `what` names the model in messages. Blocks.

    Raises: UnknownModel, CredentialError, ProviderDown or ConfigError.
    """
    failure: StillroomError
    try:
        return call()
    except StillroomError:
        raise
    except Exception as error:
        failure = _failure(error, what)
    raise failure


def _failure(error: Exception, what: str) -> StillroomError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return CredentialError(f"{what} is gated. Ask for access on its page at {HUB}, then try again.", provider=HUB)
    if isinstance(error, errors.RepositoryNotFoundError):
        return UnknownModel(f"{HUB} has no '{what}', or the key may not see it. Check its name.", provider=HUB)
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        return UnknownModel(f"{HUB} has no such file in '{what}'. Check its name.", provider=HUB)
    response: Any = getattr(error, "response", None)
    if isinstance(error, errors.HfHubHTTPError) and response is not None:
        return error_for(
            response.status_code, dict(response.headers), _said(error), HUB, dict(response.request.headers)
        )
    if isinstance(error, errors.HFValidationError):
        return ConfigError(f"'{what}' is no name of a model at {HUB}. It looks like owner/name.")
    if isinstance(error, ValueError):
        sentence = redacted(str(error), {}).rstrip(".")
        return UnknownModel(f"{HUB} cannot serve '{what}': {sentence}.", provider=HUB)
    if isinstance(error, OSError) or "http" in type(error).__module__:
        return ProviderDown(f"{HUB} cannot be reached. Check the network, then try again.", provider=HUB)
    return ProviderDown(f"{HUB} had an error with '{what}' ({type(error).__name__}).", provider=HUB)


def _said(error: Exception) -> str:
    return str(getattr(error, "server_message", None) or "")
