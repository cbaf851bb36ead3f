import pytest

from components.errors import BatchGone, RequestRefused
from components.llms import AnthropicLLM
from components.llms.batch.protocol import Remote
from tests.components.llms.batch.journey import KEY, Journey, model_at, server_for


@pytest.fixture
def server():
    with server_for("anthropic") as running:
        yield running


@pytest.fixture
def journey(server, tmp_path):
    return Journey(model_at(server, "anthropic"), tmp_path / "batches")


def test_the_requests_go_inside_the_create(journey, server):
    assert journey.upload() == ""
    journey.create()
    (made,) = [one for one in server.calls("POST") if one.path.endswith("/batches")]
    assert [one["custom_id"] for one in made.body["requests"]] == [f"{journey.tag}-{n}" for n in range(3)]
    assert made.body["requests"][0]["params"]["max_tokens"] == 128


def test_each_generation_is_a_request_of_its_own(journey):
    requests = journey.llm.batch_requests([{"role": "user", "content": "row-0"}], 3, {})
    assert [path for path, _ in requests] == ["/messages"] * 3


def test_the_address_may_have_its_version_or_not(server, tmp_path):
    llm = AnthropicLLM(model="claude", base_url=server.origin, api_key=KEY)
    assert set(Journey(llm, tmp_path / "b").finish()) == {"0", "1", "2"}


def test_a_name_that_it_would_not_take_is_refused_at_once(journey):
    journey.tag = "not/allowed"
    journey.write()
    with pytest.raises(RequestRefused, match="pattern"):
        journey.create()


def test_there_are_no_results_before_the_end(journey, server):
    server.batch.change(polls_until_done=9)
    remote = journey.start()
    with pytest.raises(BatchGone):
        journey.lines(remote)


def test_behind_a_gateway_results_come_from_there_and_the_key_goes_to_no_other_host(journey, server):
    remote = journey.ended(journey.start())
    elsewhere = Remote(remote.id, "ended", "completed", handles={"results_url": "http://127.0.0.2:9/results"})
    assert len(journey.lines(elsewhere)) == 3
    assert server.requests[-1].path.endswith(f"/v1/messages/batches/{remote.id}/results")


def test_rows_that_expired_say_so(journey, server):
    server.batch.change(final="expired", done_when_stopped=1)
    remote = journey.ended(journey.start())
    rows = journey.rows(remote)
    assert remote.outcome == "expired"
    assert sorted(line.code for line in rows.values() if not line.is_ok) == ["batch_expired", "batch_expired"]


def test_rows_that_were_canceled_say_so(journey, server):
    server.batch.change(polls_until_done=99, done_when_stopped=2)
    remote = journey.start()
    assert journey.provider.cancel(remote.id).status == "canceling"
    rows = journey.rows(journey.ended(remote))
    assert [line.code for line in rows.values() if not line.is_ok] == ["batch_cancelled"]


def test_no_credit_is_told_from_a_bad_request_though_both_have_one_type(journey, server):
    server.batch.change(rows={"row-0": "no_credit", "row-1": "400"})
    rows = journey.finish()
    assert (rows["0"].code, rows["0"].is_account) == ("invalid_request_error", True)
    assert (rows["1"].code, rows["1"].is_account) == ("invalid_request_error", False)


def test_bad_parameters_come_back_as_rows(journey):
    journey.kwargs = {"temperature": 0.5, "extra_body": {"stream": True}}
    rows = journey.finish()
    assert all(line.status == 400 and not line.is_retryable for line in rows.values())
