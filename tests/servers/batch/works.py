"""The life of a batch: validated, run, ended, or cancelled, as its polls and its age say."""

import asyncio

from tests.servers.batch.answering import Answering
from tests.servers.batch.behavior import Failure, Final, NoErrors
from tests.servers.batch.provider import Provider, age
from tests.servers.batch.results import PADDING, Results, Sheet, Written
from tests.servers.batch.store import Batch, Flaw, State, StoredFile
from tests.servers.journal import Journal

VALIDATED = "validated"
PATIENCE_S = 5.0  # a poll waits so long for the rows; a larger batch is finalizing meanwhile
FINAL = {
    Final.COMPLETED: State.COMPLETED,
    Final.FAILED: State.FAILED,
    Final.EXPIRED: State.EXPIRED,
    Final.CANCELLED: State.CANCELLED,
    Final.PARTIAL: State.PARTIAL,
}


class Works:
    def __init__(self, provider: Provider, journal: Journal) -> None:
        self.provider = provider
        self.behavior = provider.batch
        self.store = provider.store
        self.journal = journal
        self.answering = Answering(provider.chat)
        self.steps: dict[str, asyncio.Task[None]] = {}

    async def look(self, batch: Batch) -> None:
        """One poll. Two polls at once see the same step; a client that leaves does not stop it."""
        if batch.ended:
            return
        step = self.steps.get(batch.id)
        if step is None:
            step = self.steps[batch.id] = asyncio.ensure_future(self.step(batch))
            step.add_done_callback(lambda _: self.steps.pop(batch.id, None))
        done, _ = await asyncio.wait({step}, timeout=PATIENCE_S)
        for finished in done:
            finished.result()

    async def cancel(self, batch: Batch) -> None:
        """With `cancel_polls` at 0 the reply to the cancel is the end."""
        if batch.cancelled_at_poll is None:
            batch.cancelled_at_poll = batch.polls
            batch.reach(State.CANCELLING)
            self.store.save(batch)
        if self.behavior.cancel_polls == 0:
            await self.look(batch)

    async def step(self, batch: Batch) -> None:
        batch.polls += 1
        if VALIDATED not in batch.at:
            await self.validate(batch)
        if batch.ended:
            pass
        elif batch.cancelled_at_poll is not None:
            if batch.polls - batch.cancelled_at_poll >= self.behavior.cancel_polls:
                await self.finish(batch, State.CANCELLED)
        elif batch.polls >= self.behavior.polls_until_done and age(batch) >= self.behavior.seconds_until_done:
            await self.finish(batch, FINAL[self.behavior.final])
        elif batch.polls == self.behavior.polls_until_done - 1 and batch.polls > 1:
            batch.reach(State.FINALIZING)
        self.store.save(batch)

    async def validate(self, batch: Batch) -> None:
        found = self.store.files.get(batch.input_file_id)
        failure = self.behavior.failure() if self.provider.can_fail else None
        if found is None or found.account != batch.account:
            failure = Failure.CANNOT_FIND_FILE
        if failure is not None:
            self.fail(batch, failure)
            return
        checked = await asyncio.to_thread(self.provider.check, self.store.blob(batch.input_file_id), batch)
        batch.model = checked.model
        if checked.flaw is not None:
            batch.flaws = [checked.flaw]
            batch.reach(State.FAILED)
            return
        batch.total = checked.total
        batch.at[VALIDATED] = batch.created_at
        if batch.cancelled_at_poll is None:
            batch.reach(State.IN_PROGRESS)

    def fail(self, batch: Batch, failure: Failure) -> None:
        batch.flaws = [self.flaw(batch, failure)]
        batch.reach(State.FAILED)

    def flaw(self, batch: Batch, failure: Failure) -> Flaw:
        if failure is Failure.TOKEN_LIMIT:
            return Flaw("token_limit_exceeded", queue_full(batch.model))
        if failure is Failure.CANNOT_FIND_FILE:
            message = (
                f"Cannot find file {batch.input_file_id}, or organization org-loopback does not have access to it."
            )
            return Flaw("invalid_request", message, "file_id")
        return Flaw("server_error", "The server had an error while processing your batch.")

    async def finish(self, batch: Batch, state: State) -> None:
        if state is State.FAILED and self.provider.can_fail:
            self.fail(batch, Failure.SERVER_ERROR)
            return
        if state is State.FAILED:
            state = State.COMPLETED
        if batch.state is State.IN_PROGRESS:
            batch.reach(State.FINALIZING)
        results = Results(self.provider, self.answering, self.journal, batch, state)
        written = await asyncio.to_thread(results.write)
        batch.ok, batch.errors = written.ok, written.failed
        batch.expired, batch.cancelled, batch.missing = written.expired, written.cancelled, written.missing
        batch.billed, batch.usage = written.billed, dict(written.usage)
        self.keep(batch, written)
        batch.reach(state)

    def keep(self, batch: Batch, written: Written) -> None:
        planned = self.behavior.no_errors
        no_errors = self.provider.no_errors if planned is None else planned
        batch.output_file_id = self.keep_sheet(batch, written.output, "output", batch.output_file_id)
        batch.error_file_id = self.keep_sheet(batch, written.errors, "error", keeps_empty=no_errors)

    def keep_sheet(
        self,
        batch: Batch,
        sheet: Sheet,
        kind: str,
        file_id: str | None = None,
        keeps_empty: NoErrors = NoErrors.NULL,
    ) -> str | None:
        size = sheet.size
        if not size and keeps_empty is not NoErrors.EMPTY_FILE and file_id is None:
            sheet.path.unlink()
            return "" if keeps_empty is NoErrors.EMPTY_ID else None
        padding = None
        if sheet.marks and self.behavior.output_bytes is not None:
            bare = size - sheet.marks * len(PADDING)
            padding = max(0, self.behavior.output_bytes - bare) // sheet.marks
            size = bare + sheet.marks * padding
        now = age(batch) + batch.created_at
        stored = StoredFile(
            file_id or self.provider.file_id(),
            batch.account,
            f"{batch.id.replace('/', '_')}_{kind}.jsonl",
            "batch_output",
            size,
            now,
            lines=sheet.lines,
            padding=padding,
            expires_at=now + self.provider.file_days * 86_400,
        )
        return self.store.keep(stored, sheet.path).id


def queue_full(model: str) -> str:
    return (
        f"Enqueued token limit reached for {model or 'this model'} in organization org-loopback. Limit: 90,000 "
        "enqueued tokens. Please try again once some in_progress batches have been completed."
    )
