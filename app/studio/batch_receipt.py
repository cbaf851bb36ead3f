"""What was sent to batch APIs for a run: ids, counts and prices, to keep beside the results."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from app.studio.batch_facts import OUTCOMES, Facts
from app.studio.orphans import JournalReader
from app.studio.progress import moment
from components.pipeline.batch.states import FINISHED
from components.pipeline.ledger import Run

KEPT = (
    "key", "provider", "provider_id", "is_local", "step", "model", "state", "status", "outcome", "message",
    "needs_person", "attempt", "n", "bytes", "counts", "progress", "submitted_at", "ended_at", "expires_at",
    "results_until", "next_look_at", "estimate", "cost", "cost_known", "is_free", "saving", "retry", "can",
)  # fmt: skip


def receipt(run: Run, jobs: Sequence[Facts], counts: Mapping[str, Mapping[str, int]], journal: JournalReader) -> Facts:
    """The receipt of a run, oldest job first; `is_submitted` once every job is at its provider and on disk here.

    `counts` is what came of everything that each step asked.
    """
    ordered = sorted(jobs, key=lambda job: (job["created_at"], job["key"]))
    steps = list(dict.fromkeys(job["step"] for job in ordered))
    is_journaled = bool(ordered) and journal.has([job["key"] for job in ordered])
    return {
        "run": {"id": run.id, "name": run.name, "state": run.state},
        "written_at": moment(time.time()),
        "journal": "batches/journal.jsonl in the home folder of Stillroom",
        "is_journaled": is_journaled,
        "is_submitted": is_journaled and all(_is_out(job) for job in ordered),
        "is_local": any(job["is_local"] and job["state"] not in FINISHED for job in ordered),
        "n": sum(sum(counts[name].values()) for name in steps),
        "counts": {state: sum(counts[name][state] for name in steps) for state in OUTCOMES},
        "steps": [_step(name, counts[name], [job for job in ordered if job["step"] == name]) for name in steps],
        "jobs": [{name: job[name] for name in KEPT} for job in ordered],
    }


def _step(name: str, counts: Mapping[str, int], jobs: Sequence[Facts]) -> Facts:
    over = [job for job in jobs if job["state"] in FINISHED]
    cost, estimate = _sum(job["cost"] for job in over), _sum(job["estimate"] for job in jobs if job["attempt"] == 1)
    each = _each(cost, sum(job["counts"]["ok"] for job in over), estimate, sum(counts.values()))
    discount = jobs[-1]["discount"] or 0.0
    return {
        "step": name,
        "model": jobs[-1]["model"],
        "is_open": any(job["state"] not in FINISHED for job in jobs),
        "n": sum(counts.values()),
        "counts": dict(counts),
        "estimate": estimate,
        "cost": cost,
        "saving": _sum(job["saving"] for job in over),
        "is_free": all(job["is_free"] for job in jobs),
        "each": each,
        "each_online": None if each is None or not 0 <= discount < 1 else each / (1 - discount),
    }


def _each(cost: float | None, answered: int, estimate: float | None, requests: int) -> float | None:
    """US dollars for one more row: as they came so far, else as they were estimated."""
    if cost and answered:
        return cost / answered
    return None if estimate is None else estimate / max(1, requests)


def _is_out(job: Facts) -> bool:
    return bool(job["provider_id"]) or job["state"] in FINISHED


def _sum(amounts: Any) -> float | None:
    """The sum; None where one of them is unknown."""
    found = list(amounts)
    return None if any(amount is None for amount in found) else float(sum(found))
