"""Batch jobs in words: a table of many, a page of one. The words are those of the Jobs page."""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from app.cli.screen import count, table

Job = Mapping[str, Any]

SHORT = 8
"""As many signs of a job's key are shown; any start of it that only one job has will do."""
OVER = frozenset({"closed", "lost", "rejected", "orphaned"})
WORKING = frozenset({"submitted", "running", "ended", "ingesting"})
OUTCOMES = {
    "ok": "ok", "failed": "failed", "expired": "expired", "missing": "missing", "inflight": "open",
    "resent": "sent again",
}  # fmt: skip
ALWAYS = ("ok", "failed", "expired", "missing", "inflight")
SMALLEST = 0.0001


def jobs_table(jobs: Sequence[Job]) -> str:
    """Many jobs; the counts of each add up to its rows. The provider's id comes last, so that it stands whole."""
    columns = [name for name in OUTCOMES if name in ALWAYS or any(job["counts"][name] for job in jobs)]
    head = [
        "job", "step", "provider", "model", "state", "rows", *(OUTCOMES[name] for name in columns), "age", "expires",
        "cost", "provider id",
    ]  # fmt: skip
    return table([head, *([*_line(job, columns)] for job in jobs)])


def page(job: Job, home: Path | None) -> Iterator[str]:
    """Everything about one job."""
    yield f"{job['provider']}, {job['model']}: {state_in_words(job)}"
    if job["message"]:
        yield job["message"]
    yield ""
    facts = {name: value for name, value in _facts(job) if value}
    width = max(map(len, facts))
    for name, value in facts.items():
        yield f"{name.ljust(width)}  {value}"
    yield ""
    yield "What happened"
    for event in job["events"]:
        kind = "" if event["kind"] == "note" else event["kind"].replace("_", " ")
        yield f"  {_moment(event['at'])}  {'. '.join(part for part in (kind, event['message']) if part)}"
    yield ""
    yield "What you can do"
    yield from (f"  {line}" for line in _choices(job, home) or ["Nothing is left to do."])


def needing(jobs: Sequence[Job]) -> Iterator[str]:
    """What a person should know of some jobs, a line each."""
    for job in jobs:
        if job["message"]:
            yield f"{name_of(job)}{' needs you' if job['needs_person'] else ''}: {job['message']}"


def name_of(job: Job) -> str:
    """The id that its provider gave a job, whole, or the start of its key until there is one."""
    return str(job["provider_id"] or f"Job {job['key'][:SHORT]}")


def state_in_words(job: Job) -> str:
    """Where a job stands, and what its provider says beside that."""
    state, progress = str(job["state"]), job.get("progress") or {}
    done = progress.get("completed", 0) + progress.get("failed", 0)
    said = str(job["status"] or "").replace("_", " ")
    if state in WORKING and progress.get("total") and done:
        said = f"{done:,} of {progress['total']:,} done there"
    elif job.get("cancel_requested_at") and state not in OVER:
        said = "being canceled"
    state = state.replace("_", " ")
    return f"{state}, {said}" if said and said != state else state


def outcomes(counts: Mapping[str, int]) -> str:
    """Every outcome that there is, as in `9 ok, 1 failed`; together they are all rows."""
    return ", ".join(f"{counts[name]:,} {word}" for name, word in OUTCOMES.items() if counts[name] or name == "ok")


def rows_and_price(rows: int, price: float | None, is_free: bool) -> str:
    """`2 rows, about $0.03`"""
    if is_free or price == 0:
        return f"{count(rows, 'row')}, free"
    words = "price unknown" if price is None else dollars(price)
    return f"{count(rows, 'row')}, {'about ' if words.startswith('$') else ''}{words}"


def prices(job: Job) -> str:
    """What a job did cost, and what it costs at most."""
    if job.get("is_free"):
        return "free"
    if not job.get("cost_known"):
        return "price unknown"
    parts = [dollars(job["cost"])] if job["cost"] is not None else []
    parts += [f"at most {dollars(max(job['estimate'], SMALLEST))}"] if job["estimate"] is not None else []
    return ", ".join(parts) or "price unknown"


def dollars(amount: float) -> str:
    """US dollars; a little is said to be little, never nothing."""
    if 0 < amount < SMALLEST:
        return f"under ${SMALLEST}"
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:,.4f}"


def batch_command(*words: str, home: Path | None) -> str:
    """A command about batches to type next."""
    return " ".join(["stillroom batches", *words, *(["--home", shlex.quote(str(home))] if home else [])])


def _line(job: Job, columns: Sequence[str]) -> Iterator[str]:
    yield job["key"][:SHORT]
    yield job["step"] or "a script"
    yield job["provider"]
    yield job["model"]
    yield state_in_words(job)
    yield f"{job['n']:,}"
    yield from (f"{job['counts'][name]:,}" for name in columns)
    yield _span(time.time() - _seconds(job.get("submitted_at") or job["created_at"]))
    yield _away(job.get("expires_at")) if job["state"] not in OVER else ""
    yield prices(job)
    yield job["provider_id"] or "none yet"


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    yield "Job", job["key"]
    yield "Provider id", job["provider_id"] or "none yet"
    yield "Run", f"{job['run_id']} ({job['run_name']})" if job["run_id"] else "a script"
    yield "Step", job["step"]
    yield "Rows", f"{job['n']:,}: {outcomes(job['counts'])}"
    yield "File", f"{job['bytes']:,} bytes{', try ' + str(job['attempt']) if job['attempt'] > 1 else ''}"
    yield "Sent", _moment(job["submitted_at"])
    yield "Ended", _moment(job["ended_at"])
    if not job["ended_at"] and job["expires_at"]:
        yield "Expires", f"{_moment(job['expires_at'])}, {_away(job['expires_at'])}"
    when = f", {_away(job['results_until'])}" if job["results_until"] and job["state"] not in OVER else ""
    yield "Kept there until", f"{_moment(job['results_until'])}{when}"
    yield "Next look", _away(job["next_look_at"])
    yield "Cost", f"{prices(job)}{', ' + dollars(job['saving']) + ' saved' if job['saving'] else ''}"
    if job["limits"]:
        yield "Limits", _limits(job["limits"])


def _limits(known: Mapping[str, Any]) -> str:
    parts = [f"{known['max_requests']:,} requests and {known['max_bytes']:,} bytes a file"]
    parts.append(f"done within {known['worst_hours']} h" if known["worst_hours"] else "no time promised")
    parts += [f"{known['discount']:.0%} off"] if known["discount"] else []
    parts += [f"looked up {known['looked_up']}"] if known["looked_up"] else []
    return ", ".join(parts)


def _choices(job: Job, home: Path | None) -> list[str]:
    name, able = job["provider_id"] or job["key"][:SHORT], set(job["can"])
    lines = {
        "collect": f"Ask now and take up what is there: {batch_command('collect', name, home=home)}",
        "cancel": f"End it early; finished rows are kept: {batch_command('cancel', name, home=home)}",
        "adopt": "Attach it to a batch that is there already: "
        f"{batch_command('adopt', 'PROVIDER_ID', '--job', job['key'][:SHORT], home=home)}",
    }
    if "retry" in able:
        again = rows_and_price(job["retry"]["n"], job["retry"]["price"], job["is_free"])
        lines["retry"] = f"Send {again}, once more: {batch_command('retry', name, home=home)}"
    found = [line for action, line in lines.items() if action in able]
    if able & {"resubmit", "errors"}:
        rest = {"resubmit": "make it anew", "errors": "do the rest now at the full price, or read each error"}
        found.append(f"On the Jobs page of the app: {', '.join(rest[one] for one in rest if one in able)}.")
    return found


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _moment(iso: str | None) -> str:
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S") if iso else ""


def _away(iso: str | None) -> str:
    if not iso:
        return ""
    seconds = _seconds(iso) - time.time()
    if abs(seconds) < 5:
        return "now"
    return f"in {_span(seconds)}" if seconds > 0 else f"{_span(-seconds)} ago"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h{f' {minutes % 60} min' if minutes % 60 else ''}"
    return f"{round(minutes / 1440)} days"
