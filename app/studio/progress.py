"""How far a run has come: rows, money, time left and what failed, from the ledger's running totals."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, func, select

from components.pipeline.batch.states import JobState
from components.pipeline.batch.store import JOB, SET
from components.pipeline.ledger import Ledger, Run, StepRun
from components.pipeline.ledger.cells import CELL, STEP
from components.pipeline.spec import PipelineSpec
from components.states import LIVE_STATES, CellState, Reason, RunState

WINDOW_SECONDS = 60.0
SHORTEST_SAMPLE = 2.0
KEPT = 200
COLLECTING = (str(JobState.ENDED), str(JobState.INGESTING))
TROUBLED = (CellState.FAILED, CellState.EXPIRED, CellState.NEEDS_REVIEW)


@dataclass(frozen=True)
class Total:
    """How many rows a step gets, as far as can be seen."""

    seen: int
    is_final: bool
    """Whether no more can come."""

    @property
    def known(self) -> int | None:
        """The number of rows, or None while nobody can know it."""
        return self.seen if self.is_final else None


@dataclass(frozen=True)
class Flow:
    """How rows flow between the steps of a run."""

    before: dict[str, list[str]]
    routed: frozenset[str]
    """Steps that get only some of the rows of the step before them."""
    fanning: frozenset[str]
    """Steps that are known to make several rows of one, before they have done so."""


class Progress:
    """Reads where runs stand; remembers a minute of what it saw, for the rate."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def of(self, run: Run) -> dict[str, Any]:
        """A run's progress as plain data."""
        records = self._ledger.steps(run.id)
        flow = self._flow(run)
        totals = self._totals(run, records, flow)
        steps = [_step(run, record, totals[record.step], records) for record in records]
        rate = self._rate(run, steps)
        batches = self._batches([run])
        return {
            "id": run.id,
            "name": run.name,
            "pipeline_id": run.pipeline_id,
            "kind": run.kind,
            "origin": run.origin,
            "state": _shown(run, batches),
            "state_reason": run.state_reason,
            "created_at": moment(run.created_at),
            "started_at": moment(run.started_at),
            "finished_at": moment(run.finished_at),
            "has_batches": run.id in batches,
            "rows_total": steps[-1]["total"] if steps else None,
            "spent": run.spent,
            "cap": run.cap,
            "cost_known": run.cost_known,
            "rate_per_minute": rate * 60 / max(1, _working(steps)) if rate else None,
            "seconds_left": _pending(steps) / rate if rate and _is_counted(steps) else None,
            "in_flight": run.in_flight if run.state in LIVE_STATES else 0,
            "rehearsal": run.is_rehearsal,
            "portable": run.is_portable,
            "steps": steps,
            "errors": self._errors(run, records, steps),
        }

    def summaries(self, runs: Sequence[Run]) -> list[dict[str, Any]]:
        """One line for each run."""
        records: dict[str, list[StepRun]] = {run.id: [] for run in runs}
        query = select(STEP).where(STEP.c.run_id.in_(list(records))).order_by(STEP.c.position)
        with self._ledger.database.read() as connection:
            for row in connection.execute(query).mappings():
                records[row["run_id"]].append(StepRun(**row))
        batches = self._batches(runs)
        return [_summary(run, records[run.id], self._total(run, records[run.id]), _shown(run, batches)) for run in runs]

    def _total(self, run: Run, records: Sequence[StepRun]) -> int | None:
        """How many rows the last step gets, told from the running totals alone; None while nobody can know it."""
        finished = done(records[-1]) if records else 0
        if _is_over(run):
            return finished
        sources = [record for record in records if record.kind == "source"]
        changes = any(record.fanned_out or record.kind == "global" for record in records)
        if len(sources) != 1 or changes or not sources[0].is_complete:
            return None
        flow = self._flow(run)
        if flow.routed or flow.fanning:
            return None
        return max(finished, sources[0].total or 0)

    def _batches(self, runs: Sequence[Run]) -> dict[str, bool]:
        """The runs that sent rows to a batch API, and whether results are being taken up just now."""
        collecting = case((JOB.c.state.in_(COLLECTING), 1), else_=0)
        query = (
            select(SET.c.run_id, func.max(collecting))
            .join(JOB, JOB.c.set_key == SET.c.key)
            .where(SET.c.run_id.in_([run.id for run in runs]))
            .group_by(SET.c.run_id)
        )
        with self._ledger.database.read() as connection:
            return {run_id: bool(is_collecting) for run_id, is_collecting in connection.execute(query)}

    def _flow(self, run: Run) -> Flow:
        with self._lock:
            known = self._flows.get(run.id)
        if known is not None:
            return known
        # Lists of runs come without their pipelines.
        spec = PipelineSpec.model_validate_json(run.spec or self._ledger.run(run.id).spec)
        before: dict[str, list[str]] = {name: [] for name in spec.step_names()}
        for upstream, downstream in spec.edges():
            before.setdefault(downstream, []).append(upstream)
        routers = {routing.source for routing in spec.routing}
        routed = frozenset(name for name, names in before.items() if routers.intersection(names))
        fanning = frozenset(str(step["name"]) for step in spec.steps if _fans_out(step))
        flow = Flow(before, routed, fanning)
        with self._lock:
            self._flows[run.id] = flow
            if len(self._flows) > KEPT:
                self._flows.popitem(last=False)
        return flow

    def _totals(self, run: Run, records: Sequence[StepRun], flow: Flow) -> dict[str, Total]:
        """How many rows each step gets, as far as it is known by now."""
        by_name = {record.step: record for record in records}
        totals: dict[str, Total] = {}
        for record in records:
            before = [name for name in flow.before.get(record.step, []) if name in by_name]
            if record.is_complete and record.total is not None:
                totals[record.step] = Total(record.total, True)
            elif not before or record.step in flow.routed:
                totals[record.step] = Total(done(record), _is_over(run))
            else:
                handed_on = [self._handed_on(run, by_name[name], totals[name], flow) for name in before]
                seen = max(done(record), *(total.seen for total in handed_on))
                totals[record.step] = Total(seen, _is_over(run) or all(total.is_final for total in handed_on))
        return totals

    def _handed_on(self, run: Run, record: StepRun, total: Total, flow: Flow) -> Total:
        """The rows that a step gives to the next, each that is still to be worked on counted as one."""
        if record.kind == "global":
            return Total(total.seen, record.is_complete)
        if record.kind == "source" or not (record.fanned_out or record.step in flow.fanning):
            return total
        query = select(func.sum(CELL.c.n_out)).where(CELL.c.run_id == run.id, CELL.c.step == record.step)
        with self._ledger.database.read() as connection:
            made = int(connection.execute(query).scalar() or 0)
        lost = record.failed + record.skipped + record.expired
        waiting = max(0, total.seen - done(record))
        return Total(made + lost + waiting, total.is_final and not waiting)

    def _rate(self, run: Run, steps: Sequence[dict[str, Any]]) -> float | None:
        """Cells a second over the last minute; None while too little was seen."""
        with self._lock:
            if run.state != RunState.RUNNING:
                self._seen.pop(run.id, None)
                return None
            seen = self._seen.setdefault(run.id, deque(maxlen=int(WINDOW_SECONDS * 4)))
            now, count = time.monotonic(), sum(done_of(step) for step in steps if step["kind"] != "source")
            if not seen or now - seen[-1][0] >= 0.5:
                seen.append((now, count))
            while seen and now - seen[0][0] > WINDOW_SECONDS:
                seen.popleft()
            first, before = seen[0]
            return (count - before) / (now - first) if now - first >= SHORTEST_SAMPLE and count > before else None

    def _errors(self, run: Run, records: Sequence[StepRun], steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        names = [record.step for record in records if record.failed or record.expired or record.needs_review]
        groups: list[dict[str, Any]] = []
        if names:
            states = [str(state) for state in TROUBLED]
            query = (
                select(CELL.c.step, CELL.c.reason, func.count())
                .where(CELL.c.run_id == run.id, CELL.c.step.in_(names), CELL.c.state.in_(states))
                .group_by(CELL.c.step, CELL.c.reason)
                .order_by(func.count().desc())
            )
            with self._ledger.database.read() as connection:
                groups = [_group(reason, step, count) for step, reason, count in connection.execute(query)]
        if run.state == RunState.CAPPED:
            groups.insert(0, _group(Reason.CAPPED, "", _pending(steps)))
        return groups


def _fans_out(step: dict[str, Any]) -> bool:
    several = step.get("num_generations") not in (None, 1) and not step.get("group_generations")
    return several or step["use"] == "ExpandColumns"


def _shown(run: Run, batches: dict[str, bool]) -> str:
    """The state, and while a run waits for results that are being taken up, that."""
    is_collecting = run.state == RunState.WAITING_BATCH and batches.get(run.id, False)
    return str(RunState.COLLECTING) if is_collecting else run.state


def _step(run: Run, record: StepRun, total: Total, records: Sequence[StepRun]) -> dict[str, Any]:
    finished = done(record)
    waiting = max(0, total.seen - finished)
    tasks = [one for one in records if one.kind == "task"]
    alone = record.kind == "task" and len(tasks) == 1 and run.state in LIVE_STATES
    in_flight = min(run.in_flight, waiting) if alone else 0
    return {
        "name": record.step,
        "component": record.component,
        "kind": record.kind,
        "state": _state(run, record, total),
        "total": total.known,
        "ok": record.ok,
        "failed": record.failed,
        "needs_review": record.needs_review,
        "skipped": record.skipped,
        "expired": record.expired,
        "pending": waiting - in_flight,
        "in_flight": in_flight,
        "tokens_in": record.tokens_in,
        "tokens_out": record.tokens_out,
        "cost": record.cost,
        "cost_known": record.cost_known,
    }


def _state(run: Run, record: StepRun, total: Total) -> str:
    is_through = bool(total.known) and done(record) >= total.seen and record.kind not in ("source", "global")
    if record.is_complete or _is_over(run) or is_through:
        return "done"
    return "running" if run.state == RunState.RUNNING and (done(record) or record.kind == "source") else "pending"


def _summary(run: Run, records: Sequence[StepRun], total: int | None, state: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "pipeline_id": run.pipeline_id,
        "kind": run.kind,
        "origin": run.origin,
        "state": state,
        "state_reason": run.state_reason,
        "created_at": moment(run.created_at),
        "started_at": moment(run.started_at),
        "finished_at": moment(run.finished_at),
        "rows_total": total,
        "rows_done": done(records[-1]) if records else 0,
        "failed": sum(record.failed + record.expired for record in records),
        "spent": run.spent,
        "cap": run.cap,
        "cost_known": run.cost_known,
        "rehearsal": run.is_rehearsal,
        "portable": run.is_portable,
    }


def _group(reason: str, step: str, count: int) -> dict[str, Any]:
    known = Reason(reason) if reason in list(Reason) else Reason.PROVIDER_ERROR
    return {
        "reason": str(known),
        "sentence": known.sentence,
        "button": known.button,
        "count": count,
        "step": step,
    }


def done(record: StepRun) -> int:
    """Rows that have an outcome."""
    return record.ok + record.failed + record.needs_review + record.skipped + record.expired


def done_of(step: dict[str, Any]) -> int:
    """Rows of a step of the progress that have an outcome."""
    return int(sum(step[state] for state in ("ok", "failed", "needs_review", "skipped", "expired")))


def moment(seconds: float | None) -> str | None:
    """A moment as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def _pending(steps: Sequence[dict[str, Any]]) -> int:
    return sum(step["pending"] + step["in_flight"] for step in steps if step["kind"] != "source")


def _working(steps: Sequence[dict[str, Any]]) -> int:
    return sum(step["kind"] != "source" for step in steps)


def _is_counted(steps: Sequence[dict[str, Any]]) -> bool:
    return all(step["total"] is not None for step in steps)


def _is_over(run: Run) -> bool:
    return run.state in (RunState.DONE, RunState.DONE_WITH_FAILURES)
