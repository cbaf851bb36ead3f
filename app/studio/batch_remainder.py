"""The rows of a batch that came back without an answer: sent again, or done now at the full price."""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import and_, exists, func, select

from app.studio.batch_hold import BatchHold
from app.studio.batch_watch import BatchWatch
from app.studio.runs import ENDED, RESTING, Runs
from components.errors import RunConflict
from components.pipeline.batch import actions
from components.pipeline.batch.resend import plan_again
from components.pipeline.batch.states import RequestState
from components.pipeline.batch.store import REQUEST, SET
from components.pipeline.ledger.cells import CELL
from components.pipeline.ledger.tables import BatchJob, BatchRequest
from components.states import CellState

ROWS_AT_ONCE = 10_000


class Remainder:
    """What is left of a job once it is over."""

    def __init__(self, hold: BatchHold, runs: Runs, watch: BatchWatch) -> None:
        self._hold, self._runs, self._watch = hold, runs, watch
        self._store, self._ledger = hold.store, hold.store.ledger

    def send_again(self, job: BatchJob) -> int:
        """Plan new jobs for the rows without an answer, for which the run then waits; returns how many rows.

        Raises: RunConflict where that could pass the run's cap.
        """
        with self._hold.held(job) as mine, self._hold.lent():
            requests = self._store.without_answer(job_key=mine.key)
            if not requests:
                return 0
            if why := self._store.held_back([mine.set_key]).get(mine.set_key):
                raise RunConflict(f"Nothing is sent again for this job. {why}")
            self._check_cap(mine, len(requests))
            provider = self._hold.provider(mine)
            plan = partial(plan_again, self._store, provider, mine.set_key, requests)
            return self.while_reopened(mine, requests, plan)

    def while_reopened(self, job: BatchJob, requests: Sequence[BatchRequest], send: Callable[[], int]) -> int:
        """Have the run of a job work on these rows once more; one that somebody halted stays so."""
        batch = self._store.set(job.set_key)
        run_id = batch.run_id if batch is not None else None
        known = run_id is not None and self._hold.has_run(run_id)
        # First the rows, then the job, then the run: stopped anywhere in between, nothing that was paid for is lost.
        if batch is not None and run_id is not None and known:
            names = list(dict.fromkeys(request.row for request in requests))
            for start in range(0, len(names), ROWS_AT_ONCE):
                self._ledger.reopen(run_id, step=batch.step, rows=names[start : start + ROWS_AT_ONCE])
        count = send()
        if run_id is not None and known:
            self._watch.wait_for_jobs(run_id)
        return count

    def finish_online(self, run_id: str, step: str) -> int:
        """Have the rest of a step's rows done now, at the full price; returns how many rows that are.

        Raises: NotFound; RunConflict while jobs are out, the run is under way, or answers are not in it yet.
        """
        run = self._runs.get(run_id)
        actions.check_nothing_out(self._store, run_id, step)
        if run.state not in (*ENDED, *RESTING):
            raise RunConflict("This run is under way. Wait until it rests, then finish the rest now.")
        waiting = self._not_taken_up(run_id, step)
        if waiting:
            raise RunConflict(f"{waiting:,} answers came back and are not in the run yet. Continue the run first.")
        if run.state in RESTING and self._has_news_of_others(run_id, step):
            raise RunConflict("Answers came back to a job of another run that may be for this one. Continue it first.")
        self._ledger.update_run(run_id, origin="app", finished_at=None, command="")
        return actions.finish_online(self._store, run_id, step)

    def _check_cap(self, job: BatchJob, count: int) -> None:
        batch = self._store.set(job.set_key)
        if batch is None or not batch.run_id or not self._hold.has_run(batch.run_id):
            return
        run = self._runs.get(batch.run_id)
        if run.cap is None:
            return
        out = sum(self._store.open_estimate(run.id, record.step) for record in self._ledger.steps(run.id))
        again = (job.estimate or 0.0) * count / max(1, job.n)
        if run.spent + out + again > run.cap:
            raise RunConflict(
                f"Sent again, these rows may cost up to ${again:,.2f}, which could pass the run's cap of "
                f"${run.cap:,.2f}. Raise the cap first."
            )

    def _has_news_of_others(self, run_id: str, step: str) -> bool:
        """Whether another run's job has answers that the step has not; Continue takes up those that are for it."""
        open_states = [str(CellState.PENDING), str(CellState.RUNNING)]
        settled = select(CELL.c.key).where(
            CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.state.not_in(open_states)
        )
        is_ok = (REQUEST.c.set_key.in_(self._store.used_by(run_id, step)), REQUEST.c.state == str(RequestState.OK))
        query = select(REQUEST.c.cell_key).where(*is_ok, REQUEST.c.cell_key.not_in(settled)).limit(1)
        with self._ledger.database.read() as connection:
            return connection.execute(query).first() is not None

    def _not_taken_up(self, run_id: str, step: str) -> int:
        """Answers that came back after the run last looked: asked again now, they would be paid for twice."""
        settled = and_(
            CELL.c.run_id == run_id,
            CELL.c.step == step,
            CELL.c.row == REQUEST.c.row,
            CELL.c.state.not_in([str(CellState.PENDING), str(CellState.RUNNING)]),
        )
        query = (
            select(func.count())
            .select_from(REQUEST)
            .join(SET, SET.c.key == REQUEST.c.set_key)
            .where(SET.c.run_id == run_id, SET.c.step == step, REQUEST.c.state == str(RequestState.OK))
            .where(~exists().where(settled).correlate(REQUEST))
        )
        with self._ledger.database.read() as connection:
            return int(connection.execute(query).scalar_one())
