"""Batch jobs on this machine, for every model that has no batch API: a background job in whichever process polls it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from components.errors import ConfigError
from components.home import home
from components.llms.batch.caps import caps
from components.llms.batch.inline import encoded_line
from components.llms.batch.local_job import LocalJob, State, every, find, keep, remove_old
from components.llms.batch.local_work import work_on
from components.llms.batch.moments import days_after
from components.llms.batch.protocol import BatchLine, LineError, Outcome, Remote, UnreadableLine
from components.llms.batch.result_files import read_lines
from components.llms.output import split_input
from components.llms.structured import form_of
from components.llms.typing import FormattedInput, GenerateOutput

if TYPE_CHECKING:
    from components.llms.llm import LLM

PATH = "/local"
PATIENCE = 1.0
"""Seconds that `get` waits for the end, so that a script that asks now and then gets on with a small job."""
ASK_AGAIN = 2.0
ENDED: dict[str, Outcome] = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}


class LocalBatch:
    """Rows asked one by one at low priority; no discount, nothing lost when the process ends."""

    def __init__(self, llm: "LLM", folder: Path | None = None) -> None:
        self.caps = caps("local")
        self.account = "this machine"
        self._llm = llm
        self._folder = folder or jobs_folder()

    def line(self, custom_id: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One line of the input file."""
        return encoded_line({"custom_id": custom_id, "url": path, "body": body})

    def read_line(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """The name and the body in a line."""
        data = orjson.loads(line)
        return str(data["custom_id"]), data["body"]

    def upload(self, file: Path, name: str) -> str:
        """Keep the input; returns the id that the job will have."""
        if days := self.caps.results_days:
            remove_old(self._folder, days)
        return keep(self._folder, file).id

    def create(self, input_ref: str, *, file: Path, tag: str, model: str, path: str, n: int, window: str) -> Remote:
        """Begin the job; making it twice from the same input makes one."""
        job = find(self._folder, input_ref)
        with job.held():
            if not (job.folder / "state.json").exists():
                job.write(State(tag, n, time.time()))
        return _remote(job, job.state())

    def get(self, batch_id: str) -> Remote:
        """How a job is doing; the work goes on from where it was, unless another process is at it.

        Raises: what stopped the work, such as CredentialError; the next call goes on.
        """
        job = find(self._folder, batch_id)
        job.go_on()
        if job.state().status == "in_progress":
            work_on(job, self._llm).wait(PATIENCE)
        return _remote(job, job.state())

    def recent(self, since: float) -> Iterator[Remote]:
        """Jobs begun since a moment, newest first."""
        yield from (_remote(job, state) for job, state in every(self._folder) if state.created_at >= since)

    def cancel(self, batch_id: str) -> Remote:
        """End a job early. Rows that are out are answered still."""
        job = find(self._folder, batch_id)
        job.ask_to_cancel()
        with job.held() as is_ours:
            if is_ours and job.state().status == "in_progress":
                names, failed = job.answered()
                done = replace(job.state(), status="cancelled", completed=len(names) - failed, failed=failed)
                job.write(done)
                job.drop_input()
        return _remote(job, job.state())

    def results(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        """Every answer there is."""
        job = find(self._folder, remote.id)
        if not job.results.exists():
            return
        for line in read_lines(job.results):
            yield line if isinstance(line, UnreadableLine) else _line(line)


def jobs_folder() -> Path:
    """Where this machine keeps its batch jobs."""
    return home() / "batches" / "local"


def rest(batch_id: str) -> None:
    """Have no further row asked for until somebody calls `get` again, in whichever process the work goes on.

    Raises: BatchGone.
    """
    find(jobs_folder(), batch_id).ask_to_rest()


def local_requests(
    input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """What is needed to ask for one input later. Raises: ConfigError for parameters that no file can hold."""
    prompt, asked = split_input(input)
    body: dict[str, Any] = {"input": prompt, "num_generations": num_generations, "kwargs": dict(kwargs)}
    if asked is not None:
        form = form_of(asked)
        body["structured_output"] = {"format": "json", "schema": form.schema} if form else None
    try:
        orjson.dumps(body)
    except TypeError as error:
        reason = str(error)
    else:
        return [(PATH, body)]
    raise ConfigError(f"This cannot wait for a batch job, since it cannot be written down: {reason}.")


def is_local_reply(reply: Mapping[str, Any]) -> bool:
    """Whether a reply is an answer already, as local jobs keep it, and not what a provider sent."""
    return "generations" in reply


def tokens_of(statistics: Mapping[str, Any] | None) -> tuple[int, int]:
    """Tokens read and written in all."""
    counted = statistics or {}
    return sum(counted.get("input_tokens") or ()), sum(counted.get("output_tokens") or ())


def local_output(replies: Sequence[Mapping[str, Any]]) -> GenerateOutput:
    """The answer as it was given."""
    return cast(GenerateOutput, dict(replies[0]))


def _remote(job: LocalJob, state: State) -> Remote:
    is_out = state.status == "in_progress"
    return Remote(
        job.id,
        "canceling" if is_out and job.is_cancel_asked else state.status,
        outcome=ENDED.get(state.status),
        counts={"total": state.total, "completed": state.completed, "failed": state.failed},
        # A job that failed may have answers from before.
        handles={"results": job.results.name} if job.results.exists() else {},
        errors=(LineError(state.message),) if state.message else (),
        created_at=state.created_at,
        results_expire_at=days_after(state.created_at, caps("local").results_days),
        retry_after=ASK_AGAIN if is_out else None,
        tag=state.tag,
        input_ref=job.id,
    )


def _line(data: Mapping[str, Any]) -> BatchLine:
    name, error = str(data.get("custom_id") or ""), data.get("error")
    if error is None:
        return BatchLine(name, data.get("reply"), 200)
    return BatchLine(name, None, error["status"], error["code"], error["message"], error["is_retryable"])
