"""A process that hands rows in to a batch API and collects them, and kills itself where it is told to.

`python -m tests.crash.batch_worker` reads one order a line and forks for each, so that a start costs next to nothing:
it says `pid N`, and `exit CODE` when that process is gone.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from components.llms import OpenAILLM
from components.pipeline.batch import ingest
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.matching import Want
from components.pipeline.batch.offline import Batches
from components.pipeline.batch.states import FINISHED
from components.pipeline.ledger import Ledger

GRACE = 3.0
SPEED = 10
"""Seconds of the jobs' clock in one real second, so that pauses between tries do not take up the test."""
PAUSE = 0.02
LONGEST = 90.0
CHUNK = 60


class Mortal(Machine):
    """Dies at the nth time that a point is reached; the point `any` is every point."""

    def __init__(self, *arguments: Any, point: str = "", nth: int = 1, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._point, self._nth = point, nth
        self._seen: Counter[str] = Counter()

    def reached(self, point: str) -> None:
        self._seen.update((point, "any"))
        if self._point in (point, "any") and self._seen[self._point] >= self._nth:
            os.kill(os.getpid(), signal.SIGKILL)


def wants(prefix: str, rows: int) -> list[Want]:
    return [
        Want(f"{at:08d}", f"key-{prefix}-{at}", partial(prompt, f"row-{prefix}x{at}"), at) for at in range(rows)
    ]  # fmt: skip


def prompt(text: str) -> Any:
    return [{"role": "user", "content": text}]


def tap(provider: Any, reached: Any) -> None:
    """Reach a point in the middle of each download: that of the answers, then that of the errors."""
    wire = provider._remote._wire
    plain_read, plain_results = wire.read, provider.results
    files: list[str] = []

    def read(path: str, take: Any, **params: Any) -> Any:
        def pieces(given: Any) -> Any:
            for piece in given:
                yield piece
                reached("downloading" if len(files) == 1 else "downloading_errors")

        files.append(path)
        return plain_read(path, lambda given: take(pieces(given)), **params)

    def results(*arguments: Any) -> Any:
        files.clear()
        return plain_results(*arguments)

    wire.read, provider.results = read, results


def work(order: dict[str, Any]) -> None:
    ingest.CHUNK = CHUNK
    ledger, began = Ledger(f"sqlite:///{order['home']}/stillroom.db"), float(order["began"])
    llm = OpenAILLM(model="gpt-4o-mini", base_url=order["url"], api_key="sk-1", use_offline_batch_generation=True)
    made = partial(Mortal, point=order.get("point", ""), nth=order.get("nth", 1), grace=GRACE)
    batches = Batches(ledger, llm, make_machine=made, clock=lambda: began + (time.time() - began) * SPEED)
    batches.provider.caps = replace(batches.provider.caps, max_requests=order["shard"])
    tap(batches.provider, batches.machine.reached)
    handed = batches.hand_in(wants(order["prefix"], order["rows"]), 1, {})
    pause, deadline = threading.Event(), time.monotonic() + LONGEST
    while any(job.state not in FINISHED for job in batches.jobs(handed.sets)):
        batches.advance(handed.sets)
        if order.get("cancel"):
            ask_to_cancel(batches, handed.sets)
        if time.monotonic() > deadline:
            states = [(job.state, job.message) for job in batches.jobs(handed.sets)]
            raise TimeoutError(f"still at it: {states}")
        pause.wait(PAUSE)
    found = {
        row: (str(one.state), one.output["generations"][0] if one.output else None, one.message)
        for chunk in batches.answers(handed, 1)
        for row, one in chunk
    }
    (Path(order["home"]) / "found.json").write_text(json.dumps(found))
    ledger.close()


def ask_to_cancel(batches: Batches, sets: list[str]) -> None:
    """As the action does, save that the machine is left to tell the provider."""
    for job in batches.jobs(sets):
        if job.remote_id and not job.outcome and job.cancel_requested_at is None:
            batches.store.change(job.key, cancel_requested_at=time.time())


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                work(json.loads(line))
                os._exit(0)
            except BaseException as error:
                print(f"batch worker: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
        print(f"pid {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        print(f"exit {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
