"""A process that works on a run until it is done, or is killed: `python -m tests.crash.worker DATABASE URL ROWS`."""

import sys
from itertools import pairwise

from components.llms.gate import RetryPolicy
from components.llms.openai import OpenAILLM
from components.pipeline.engine import Engine
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger
from components.pipeline.running import RunOptions, create_run
from components.pipeline.spec import PipelineSpec
from tests.fakes import Ask, Numbers, Review

CONCURRENCY = 16
POLICY = RetryPolicy(transient_base=0.02, transient_ceiling=0.2, rate_base=0.02, rate_ceiling=0.2, attempts=12)


class Second(Review):
    """Asks about `verdict` of the step before."""

    reads = "verdict"

    @property
    def outputs(self) -> list[str]:
        return ["last", "model_name"]

    def format_output(self, output: str | None, input: dict | None = None) -> dict:
        return {"last": output}


def graph(url: str, rows: int) -> Graph:
    def llm(model: str) -> OpenAILLM:
        return OpenAILLM(model=model, base_url=url, timeout=1.0)

    made = Graph()
    steps = [
        Numbers(name="rows", count=rows),
        Ask(name="first", llm=llm("one")),
        Review(name="review", llm=llm("two")),
        Second(name="second", llm=llm("three")),
    ]
    for step in steps:
        made.add(step)
    for before, after in pairwise(steps):
        made.connect(before.name, after.name)
    return made


def main(database: str, url: str, rows: int) -> None:
    ledger = Ledger(database)
    steps = graph(url, rows)
    runs = ledger.runs()
    options = RunOptions(concurrency=CONCURRENCY, use_cache=False)
    run_id = runs[0].id if runs else create_run(ledger, steps, PipelineSpec.of(steps, "crash"), options)
    print(run_id, flush=True)
    state = Engine(steps, ledger, run_id, policy=POLICY).work()
    print(state, flush=True)
    ledger.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
