"""Every error as one sentence with the right status; what surprised us goes to the log, never to the page."""

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.api.answers import answer
from app.studio import EditConflict, NotFound
from components.errors import (
    CapReached,
    ConfigError,
    CredentialError,
    DataFileError,
    LedgerError,
    ProviderError,
    RunConflict,
    StillroomError,
)

log = logging.getLogger("stillroom.api")

STATUSES: tuple[tuple[type[StillroomError], int], ...] = (
    (NotFound, 404),
    (EditConflict, 409),
    (RunConflict, 409),
    (CapReached, 409),
    (ConfigError, 422),
    (DataFileError, 422),
    (CredentialError, 422),
    (ProviderError, 502),
    (LedgerError, 503),
)
SURPRISE = "Stillroom had an error of its own. The log says more."


def refused(sentence: str, status: int) -> Response:
    """A refusal in the shape that all errors have."""
    return answer({"ok": False, "error": sentence}, status)


def status_of(error: StillroomError) -> int:
    """The status that fits an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def handle_errors(app: FastAPI) -> None:
    """Have the app answer every error so."""
    app.add_exception_handler(StillroomError, _ours)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _surprise)


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StillroomError)
    return refused(str(error), status_of(error))


async def _wrong_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refused(" ".join(_sentence(problem) for problem in error.errors()), 422)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = "There is nothing at this address." if error.status_code == 404 else str(error.detail)
    return refused(sentence, error.status_code)


async def _surprise(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused(SURPRISE, 500)


def _sentence(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"'{place}': {reason[:1].lower()}{reason[1:]}." if place else f"{reason}."
