"""A batch as the providers of OpenAI's family describe it, in one form."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from components.llms.batch.moments import days_after, moment
from components.llms.batch.protocol import Caps, LineError, Outcome, Remote
from components.llms.batch.quirks import TAG

SETTLE_SECONDS = 30.0
OUTCOMES: dict[str, Outcome] = {
    "completed": "completed",
    "success": "completed",
    "failed": "failed",
    "expired": "expired",
    "timeout_exceeded": "expired",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
"""The words for an end, whatever their case; any other word is none."""
NUMBERED = re.compile(r"\bline (\d+)\b", re.IGNORECASE)


def remote_of(data: Mapping[str, Any], caps: Caps) -> Remote | None:
    """The batch in a reply of OpenAI's shape, Mistral's or Together's; None where there is none."""
    if not isinstance(data.get("id"), str) or not data["id"]:
        return None
    status = str(data.get("status") or "")
    outcome = OUTCOMES.get(status.lower())
    files = {
        "output_file": _first(data, "output_file_id", "output_file"),
        "error_file": _first(data, "error_file_id", "error_file"),
    }
    inputs = data.get("input_files")
    metadata = data.get("metadata")
    created = moment(data.get("created_at"))
    return Remote(
        data["id"],
        status,
        outcome=outcome,
        counts=_counts(data),
        handles={kind: file for kind, file in files.items() if isinstance(file, str) and file},
        errors=_errors(data) if outcome == "failed" else (),
        created_at=created,
        expires_at=moment(_first(data, "expires_at", "job_deadline")),
        results_expire_at=days_after(created, caps.results_days),
        tag=str(metadata.get(TAG) or "") if isinstance(metadata, Mapping) else "",
        input_ref=str(_first(data, "input_file_id") or (inputs[0] if isinstance(inputs, list) and inputs else "")),
    )


def xai_remote(data: Mapping[str, Any], caps: Caps) -> Remote | None:
    """The batch in a reply of xAI, which has counters in place of a status."""
    if not isinstance(data.get("batch_id"), str) or not data["batch_id"]:
        return None
    state = data.get("state") if isinstance(data.get("state"), Mapping) else {}
    requests, pending, success, error, cancelled = (
        _number((state or {}).get(f"num_{name}")) for name in ("requests", "pending", "success", "error", "cancelled")
    )
    said = data.get("cancel_by_xai_message")
    outcome: Outcome | None = None
    if said:
        outcome = "failed"
    elif requests and not pending:
        outcome = "cancelled" if cancelled else "completed"
    status = outcome or ("canceling" if data.get("cancel_time") else "in_progress" if requests else "validating")
    created = moment(data.get("create_time"))
    return Remote(
        data["batch_id"],
        status,
        outcome=outcome,
        counts={"total": requests, "completed": success, "failed": error, "cancelled": cancelled},
        errors=(_line_error(str(said)),) if said else (),
        created_at=created,
        expires_at=moment(data.get("expire_time")),
        results_expire_at=days_after(created, caps.results_days),
        tag=str(data.get("name") or ""),
        input_ref=str(data.get("input_file_id") or ""),
    )


_seen: dict[tuple[str, str], tuple[Mapping[str, int], float]] = {}


def settled(remote: Remote, data: Mapping[str, Any], account: str) -> Remote:
    """xAI's batch, which has not ended after a cancel until its counters have stood still for a while.

    Rows that were under way may still succeed, and are then counted over from canceled.
    """
    key = (account, remote.id)
    if remote.outcome != "cancelled":
        _seen.pop(key, None)
        return remote
    asked_at, now = moment(data.get("cancel_time")), time.monotonic()
    counts, since = _seen.setdefault(key, (remote.counts, now))
    if counts != remote.counts:
        _seen[key] = (remote.counts, now)
        since = now
    stood = max(now - since, time.time() - asked_at if asked_at else 0.0)
    return remote if stood >= SETTLE_SECONDS else replace(remote, status="canceling", outcome=None)


def forget() -> None:
    """Look at every batch as if for the first time."""
    _seen.clear()


def refused_lines(text: str) -> tuple[LineError, ...]:
    """The line that a refusal of a file names, if it names one."""
    error = _line_error(text)
    return (error,) if error.line is not None else ()


def _counts(data: Mapping[str, Any]) -> dict[str, int]:
    given = data.get("request_counts")
    if isinstance(given, Mapping):
        found = {name: given.get(name) for name in ("total", "completed", "failed")}
    else:
        names = {"total": "total_requests", "completed": "succeeded_requests", "failed": "failed_requests"}
        found = {name: data.get(theirs) for name, theirs in names.items()}
    return {name: _number(count) for name, count in found.items() if count is not None}


def _errors(data: Mapping[str, Any]) -> tuple[LineError, ...]:
    given = data.get("errors")
    if isinstance(given, Mapping):
        given = given.get("data")
    listed: Sequence[Any] = given if isinstance(given, list) else [data["error"]] if data.get("error") else []
    return tuple(_error(one) for one in listed)


def _error(said: Any) -> LineError:
    if not isinstance(said, Mapping):
        return LineError(str(said))
    line = said.get("line")
    message, code = str(said.get("message") or ""), str(said.get("code") or "")
    return LineError(message, code, line if isinstance(line, int) and line > 0 else None)


def _line_error(text: str) -> LineError:
    found = NUMBERED.search(text)
    return LineError(text, line=int(found[1]) if found else None)


def _first(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name)), None)


def _number(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
