"""Works on a local batch job in the background, a few rows at a time, so that whoever waits for a run goes first."""

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from components.errors import (
    CredentialError,
    ProviderDown,
    ProviderError,
    QuotaExhausted,
    ReplyError,
    UnknownModel,
    WrongAddress,
)
from components.llms.batch.local_job import LocalJob, Status
from components.llms.gate import Gate, Halted, through
from components.states import Reason

if TYPE_CHECKING:
    from components.llms.llm import LLM

AT_ONCE = 4
"""Rows that are out at the same time."""
TELL_SECONDS = 1.0
LOOK_SECONDS = 0.5
PROCESS_ENDS = "cannot schedule new futures"
"""What Python says to whoever goes on working while the program ends."""


class Work:
    """The thread that works on one job in this process."""

    def __init__(self, job: LocalJob, llm: "LLM") -> None:
        self._job = job
        self._llm = llm
        self._trouble: ProviderError | None = None
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=f"stillroom-{job.id}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it is still at it."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Wait a moment for the end. Raises: what stopped the work, when something did."""
        self._thread.join(seconds)
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble

    def _run(self) -> None:
        try:
            with _turns[type(self._llm).__name__, self._llm.model_name], self._job.held() as is_ours:
                if is_ours and self._job.state().status == "in_progress":
                    self._work()
        except ProviderError as error:
            self._trouble = error
        except Exception as error:
            # Raised where the job is asked about, since nobody looks at what a thread raises.
            self._trouble = ProviderError(str(error) or type(error).__name__)

    def _work(self) -> None:
        was_loaded = self._llm._is_loaded
        if not was_loaded:
            self._llm.load()
        try:
            _Rows(self._job, self._llm).work()
        except (UnknownModel, WrongAddress) as error:
            self._job.write(replace(self._job.state(), status="failed", message=str(error)))
        finally:
            if not was_loaded:
                self._llm.unload()


class _Rows:
    """The rows of a job that have no answer yet."""

    def __init__(self, job: LocalJob, llm: "LLM") -> None:
        self._job = job
        self._llm = llm
        self._known, self._failed = job.answered()
        self._done = len(self._known)
        self._told_at = 0.0
        self._gate = Gate(concurrency=AT_ONCE)
        self._stop: ProviderError | None = None
        self._rests = False

    def work(self) -> None:
        """Ask for every row. Raises: what makes it no use to go on."""
        with open(self._job.results, "ab") as results:
            asyncio.run(self._all(results))
            os.fsync(results.fileno())
        if self._stop is not None:
            self._tell("in_progress")
            raise self._stop
        if self._rests and not self._job.is_cancel_asked:
            self._tell("in_progress")
            return
        self._tell("cancelled" if self._job.is_cancel_asked else "completed")
        self._job.drop_input()

    async def _all(self, results: BinaryIO) -> None:
        waiting = (one for one in self._job.requests() if one["custom_id"] not in self._known)
        watch = asyncio.create_task(self._heed_people())
        try:
            with through(self._gate):
                await asyncio.gather(*(self._some(waiting, results) for _ in range(AT_ONCE)))
        finally:
            watch.cancel()

    async def _some(self, waiting: Iterator[dict[str, Any]], results: BinaryIO) -> None:
        for request in waiting:
            if self._stop is not None or self._is_to_end():
                return
            answer = await self._answer(request["body"])
            if answer is None:
                return
            results.write(orjson.dumps({"custom_id": request["custom_id"], **answer}) + b"\n")
            results.flush()
            self._done += 1
            self._failed += "error" in answer
            if time.monotonic() - self._told_at > TELL_SECONDS:
                self._tell("in_progress")

    async def _answer(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The reply to a row, or why there is none; nothing when the work is to stop before it."""
        if "reply" in body:
            return {"reply": body["reply"]}
        input: Any = body["input"]
        if "structured_output" in body:
            input = (input, body["structured_output"])
        try:
            output = await self._llm.complete(input, body["num_generations"], **body["kwargs"])
        except Halted:
            return None
        except (CredentialError, QuotaExhausted, UnknownModel, WrongAddress) as error:
            self._halt(error)
            return None
        except ProviderDown as error:
            if error.status is None and not error.may_be_paid:
                # Nothing is there to answer: no fault of the row, which waits until something is.
                self._halt(error)
                return None
            return _failure(error, error.status, is_retryable=True)
        except ProviderError as error:
            return _failure(error, error.status, is_retryable=error.is_retryable)
        except Exception as error:
            if PROCESS_ENDS in str(error):
                self._halt(ProviderDown("The program ended before the batch did."))
                return None
            # A model of somebody's own may raise anything; the row keeps what it said.
            return _failure(error, None, is_retryable=False)
        return {"reply": output}

    def _halt(self, error: ProviderError) -> None:
        self._stop = self._stop or error
        self._gate.halt()

    def _is_to_end(self) -> bool:
        # Remembered: whoever asked for the rest may take it back before the rows that are out are home.
        self._rests = self._rests or self._job.is_rest_asked
        return self._rests or self._job.is_cancel_asked

    async def _heed_people(self) -> None:
        while not self._is_to_end():
            await asyncio.sleep(LOOK_SECONDS)
        self._gate.halt()

    def _tell(self, status: Status) -> None:
        self._told_at = time.monotonic()
        state = self._job.state()
        self._job.write(replace(state, status=status, completed=self._done - self._failed, failed=self._failed))


def _failure(error: Exception, status: int | None, *, is_retryable: bool) -> dict[str, Any]:
    reason = getattr(error, "reason", Reason.UNPARSEABLE if isinstance(error, ReplyError) else Reason.PROVIDER_ERROR)
    message = str(error) or type(error).__name__
    return {"error": {"code": str(reason), "message": message, "status": status, "is_retryable": is_retryable}}


_works: dict[Path, Work] = {}
_starting = threading.Lock()
_turns: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
"""One job of a model at a time, or each would have its few rows."""


def work_on(job: LocalJob, llm: "LLM") -> Work:
    """The work on a job in this process, begun or gone on with."""
    with _starting:
        work = _works.get(job.folder)
        if work is None or not (work.is_alive or work._trouble):
            work = _works[job.folder] = Work(job, llm)
        return work
