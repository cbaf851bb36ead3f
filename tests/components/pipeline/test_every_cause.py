"""N rows in, N rows accounted for, in input order, while 5 % of them fail for each cause there is."""

import pytest

from components.llms import OpenAILLM
from components.llms.gate import RetryPolicy
from components.pipeline.engine import Engine
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.results import Results
from components.pipeline.running import RunOptions, create_run
from components.pipeline.spec import PipelineSpec
from components.states import Reason, RunState
from components.steps import LoadDataFromDicts
from components.steps.tasks import TextClassification
from tests.servers.answers import Reply
from tests.servers.faults import Fault
from tests.servers.openai_server import OpenAIServer

ROWS = 200
EACH = ROWS // 20
POLICY = RetryPolicy(
    attempts=2, transient_base=0.01, transient_ceiling=0.02, rate_base=0.01, rate_ceiling=0.02, rate_patience=0.1
)
CAUSES = {
    Reason.RATE_LIMIT: Fault.RATE_LIMIT_BARE,
    Reason.CONTEXT_TOO_LONG: Fault.CONTEXT_TOO_LONG,
    Reason.REFUSED: Fault.REFUSAL,
    Reason.UNPARSEABLE: '{"verdict": 12}',
    Reason.CUT_OFF: Reply('{"labels": "nor', finish_reason="length"),
    Reason.NOT_IN_LABELS: '{"labels": "somewhere else"}',
    Reason.PROVIDER_ERROR: Fault.SERVER_ERROR,
    Reason.TIMEOUT: Fault.TIMEOUT,
}
ELSEWHERE = {Reason.BAD_KEY, Reason.EXPIRED, Reason.CAPPED}
"""They rest the run, or belong to batches: `test_rows.py` and the batch tests prove them."""


def cause_of(position: int) -> Reason | None:
    causes = list(CAUSES)
    return causes[position % 20] if position % 20 < len(causes) else None


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger.close()


def test_every_row_is_accounted_for_with_its_cause(ledger):
    def reply(body):
        position = int(body["messages"][-1]["content"].split("row-")[1].split()[0].rstrip(".\n<"))
        cause = cause_of(position)
        return CAUSES[cause] if cause else '{"labels": "north"}'

    with OpenAIServer(reply=reply, tag_pattern=r"row-\d+") as server:
        graph = Graph()
        graph.add(LoadDataFromDicts(name="load", data=[{"text": f"row-{n} of the table"} for n in range(ROWS)]))
        llm = OpenAILLM(model="test", base_url=server.base_url, timeout=3.0)
        graph.add(TextClassification(name="label", llm=llm, available_labels=["north", "south"]))
        graph.connect("load", "label")
        run_id = create_run(ledger, graph, PipelineSpec.of(graph, "causes"), RunOptions())
        state = Engine(graph, ledger, run_id, policy=POLICY).work()
    assert set(CAUSES) | ELSEWHERE == set(Reason)
    assert state is RunState.DONE_WITH_FAILURES
    results = list(Results(ledger, run_id, "label", graph.edges).all())
    assert [result.row for result in results] == [f"{n:08d}" for n in range(ROWS)]
    for position, result in enumerate(results):
        cause = cause_of(position)
        assert result.values["text"] == f"row-{position} of the table"
        assert result.reason == (cause or ""), (position, result.message)
        if cause is None:
            assert (result.state, result.values["labels"]) == ("ok", "north")
        elif cause is Reason.NOT_IN_LABELS:
            assert (result.state, result.values["labels"]) == ("needs_review", None)
        else:
            assert result.state == "failed" and result.message
    step = ledger.steps(run_id)[1]
    assert (step.ok, step.failed, step.needs_review) == (ROWS - 8 * EACH, 7 * EACH, EACH)
