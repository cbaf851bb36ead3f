"""What holds at every provider alike."""

import orjson
import pytest

from components.errors import (
    BatchGone,
    BatchOutcomeUnknown,
    CredentialError,
    ProviderDown,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
)
from components.llms.batch.protocol import BatchLine, Reconcile, UnreadableLine
from tests.components.llms.batch.journey import EVERY, KEY, Journey, model_at, server_for


@pytest.fixture(params=EVERY)
def name(request):
    return request.param


@pytest.fixture
def server(name):
    with server_for(name) as running:
        yield running


@pytest.fixture
def journey(server, name, tmp_path):
    return Journey(model_at(server, name), tmp_path / "batches")


def calls_to_create(server):
    return [
        one for one in server.calls("POST") if one.path.partition("?")[0].endswith(("/batches", "/jobs", "Content"))
    ]


def test_every_row_comes_back_as_the_online_call_would_give_it(journey, server):
    rows = journey.finish()
    assert set(rows) == {"0", "1", "2"}
    for number in range(3):
        assert journey.text(rows[str(number)]) == [f"echo: row-{number} hello"]
        online = journey.llm.generate_outputs([[{"role": "user", "content": f"row-{number} hello"}]])[0]
        assert journey.llm.batch_output([rows[str(number)].body], 1) == online
        read, written = journey.llm.batch_usage(journey.path, rows[str(number)].body, 1)
        assert (read, written) == (
            sum(online["statistics"]["input_tokens"]),
            sum(online["statistics"]["output_tokens"]),
        )
        assert read and written


def test_the_body_is_the_one_that_is_sent_online(journey, server):
    journey.kwargs = {"temperature": 0.5}
    journey.write()
    journey.llm.generate_outputs([[{"role": "user", "content": "row-0 hello"}]], temperature=0.5)
    sent = next(one for one in server.requests if one.method == "POST").body
    with open(journey.file, "rb") as handle:
        custom_id, body = journey.provider.read_line(handle.readline())
    assert custom_id == f"{journey.tag}-0"
    assert {**body, "model": sent.get("model")} == {**sent, "model": sent.get("model")}


def test_several_generations_come_back_in_their_order(journey):
    journey.generations = 3
    rows = journey.finish()
    mine = [rows[name] for name in sorted(rows) if name.split("-")[0] == "1"]
    assert len(mine) in (1, 3)
    texts = journey.text(*mine)
    assert len(texts) == 3 and all("row-1 hello" in text for text in texts)


def test_a_batch_says_who_made_it(journey):
    remote = journey.start()
    caps = journey.provider.caps
    found = [one for one in journey.provider.recent(remote.created_at - 60) if one.id == remote.id]
    assert len(found) == 1
    if caps.reconcile is Reconcile.TAG:
        assert found[0].tag == journey.tag
    elif caps.reconcile is Reconcile.INPUT:
        assert found[0].input_ref == journey.ref
    else:
        assert found[0].counts["total"] == journey.count


def test_batches_older_than_asked_for_are_left_out(journey):
    remote = journey.start()
    assert list(journey.provider.recent(remote.created_at + 86_400)) == []


def test_a_long_list_is_read_to_its_end(journey, monkeypatch):
    for module in ("openai_family", "anthropic", "gemini"):
        monkeypatch.setattr(f"components.llms.batch.{module}.PAGE", 2)
    made = [journey.start().id for _ in range(5)]
    assert sorted(one.id for one in journey.provider.recent(0.0)) == sorted(made)


def test_progress_is_told_while_it_works(journey, server):
    server.batch.change(polls_until_done=4)
    remote = journey.provider.get(journey.start().id)
    assert not remote.has_ended
    if remote.counts:
        assert remote.counts["total"] == 3 and remote.counts["failed"] == 0


def test_a_status_that_nobody_knows_is_no_end(journey, server, name):
    if name == "xai":
        pytest.skip("it has no status")
    server.batch.change(odd_status="ENLIGHTENED", polls_until_done=9)
    journey.provider.get(journey.start().id)
    remote = journey.provider.get(next(journey.provider.recent(0.0)).id)
    assert (remote.status, remote.outcome) == ("ENLIGHTENED", None)


def test_a_row_that_is_refused_says_why_and_is_not_worth_sending_again(journey, server):
    server.batch.change(rows={"row-1": "400"})
    rows = journey.finish()
    bad = rows["1"]
    assert bad.body is None and not bad.is_retryable and not bad.is_account
    assert "Invalid 'temperature'" in bad.message
    assert rows["0"].is_ok and rows["2"].is_ok


@pytest.mark.parametrize("fate", ["429", "500", "503"])
def test_a_row_that_found_no_room_is_worth_sending_again(journey, server, fate):
    server.batch.change(rows={"row-1": fate})
    bad = journey.finish()["1"]
    assert bad.body is None and bad.message and not bad.is_account
    assert bad.is_retryable


def test_a_row_without_credit_is_laid_to_the_account(journey, server, name):
    server.batch.change(rows={"row-1": "no_credit"})
    bad = journey.finish()["1"]
    assert bad.body is None and bad.is_account and not bad.is_retryable


def test_when_every_row_fails_every_row_says_why(journey, server):
    server.batch.change(rows={"*": "400"})
    rows = journey.finish()
    assert set(rows) == {"0", "1", "2"}
    assert all(line.body is None and line.message for line in rows.values())


def test_rows_that_are_missing_are_simply_not_there(journey, server):
    server.batch.change(rows={"row-1": "missing"})
    assert set(journey.finish()) == {"0", "2"}


def test_strange_lines_do_no_harm_to_the_others(journey, server):
    cut = {"row-1": ["garbled"]} if server.provider.is_jsonl else {}
    server.batch.change(foreign_rows=2, blank_lines=2, undecodable_lines=2, rows=cut)
    remote = journey.ended(journey.start())
    lines = journey.lines(remote)
    names = [line.custom_id for line in lines if isinstance(line, BatchLine)]
    assert {name for name in names if name.startswith(journey.tag)} >= {f"{journey.tag}-0", f"{journey.tag}-2"}
    if server.provider.is_jsonl:
        assert sum(isinstance(line, UnreadableLine) for line in lines) == 5
        assert names.count("foreign-0") == 1


def test_a_batch_that_is_canceled_keeps_what_was_done(journey, server):
    if not journey.provider.caps.can_cancel:
        pytest.skip("it cannot be canceled")
    server.batch.change(polls_until_done=99, done_when_stopped=1)
    remote = journey.start()
    journey.provider.get(remote.id)
    journey.provider.cancel(remote.id)
    remote = journey.ended(journey.provider.get(remote.id))
    assert remote.outcome == "cancelled"
    rows = journey.rows(remote)
    assert sum(line.is_ok for line in rows.values()) <= 1
    assert all(line.is_retryable for line in rows.values() if not line.is_ok)


def test_canceling_what_has_ended_gives_it_as_it_is(journey):
    if not journey.provider.caps.can_cancel:
        pytest.skip("it cannot be canceled")
    remote = journey.ended(journey.start())
    assert journey.provider.cancel(remote.id).outcome == "completed"


def test_an_expired_batch_keeps_what_was_done(journey, server, name):
    server.batch.change(final="expired", done_when_stopped=1)
    remote = journey.ended(journey.start())
    assert remote.has_ended
    rows = journey.rows(remote)
    assert all(line.is_retryable for line in rows.values() if not line.is_ok)


# One request makes a batch


@pytest.mark.parametrize("trouble", ["land_hang", "land_500", "land_drop", "hang", "drop", "html_503", "500"])
def test_a_create_of_unknown_outcome_is_told_and_not_tried_again(server, name, tmp_path, trouble):
    server.batch.change(on_create=[trouble])
    journey = Journey(model_at(server, name, timeout=0.5), tmp_path)
    journey.upload()
    before = len(calls_to_create(server))
    with pytest.raises(BatchOutcomeUnknown) as caught:
        journey.create()
    assert len(calls_to_create(server)) - before == 1
    assert KEY not in str(caught.value)
    # None of what the HTTP library raised, which holds the key, hangs on it.
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert len(server.batches) == (1 if trouble.startswith("land") else 0)


def test_a_create_that_nobody_heard_is_no_riddle(server, name, tmp_path):
    # A closed port refuses at once, so nothing here waits for the time to be up.
    journey = Journey(model_at(server, name), tmp_path)
    journey.upload()
    server.stop()
    with pytest.raises(ProviderDown, match="Nothing answers"):
        journey.create()


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ("401", CredentialError),
        ("403", CredentialError),
        ("404", UnknownModel),
        ("409", ProviderError),
        ("413", RequestRefused),
        ("422", RequestRefused),
        ("400", RequestRefused),
        ("429", RateLimited),
        ("queue_full", RateLimited),
    ],
)
def test_a_create_that_is_refused_says_why(journey, server, trouble, kind):
    server.batch.change(on_create=[trouble])
    journey.upload()
    before = len(calls_to_create(server))
    with pytest.raises(kind) as caught:
        journey.create()
    assert not isinstance(caught.value, BatchOutcomeUnknown)
    assert len(calls_to_create(server)) - before == 1
    assert server.batches == []


def test_an_empty_purse_is_no_full_queue(journey, server, name):
    server.batch.change(on_create=["no_credit"])
    journey.upload()
    # Google uses the same words for both.
    with pytest.raises(RateLimited if name == "gemini" else QuotaExhausted):
        journey.create()


def test_retry_after_is_passed_on(journey, server):
    server.batch.change(on_create=["429"], trouble_retry_after_s=7.0, poll_retry_after_s=11.0)
    journey.upload()
    with pytest.raises(RateLimited) as caught:
        journey.create()
    assert caught.value.retry_after == 7.0
    assert journey.provider.get(journey.create().id).retry_after in (11.0, None)


def test_a_batch_that_is_unknown_is_gone(journey, name):
    journey.write()
    with pytest.raises(BatchGone):
        journey.provider.get("batches/nothing" if name == "gemini" else "nothing")


@pytest.mark.parametrize(("trouble", "kind"), [("500", ProviderDown), ("drop", ProviderDown), ("401", CredentialError)])
def test_a_poll_that_fails_says_how(journey, server, trouble, kind):
    remote = journey.start()
    server.batch.change(on_poll=[trouble])
    with pytest.raises(kind):
        journey.provider.get(remote.id)
    assert journey.provider.get(remote.id).id == remote.id


def test_results_that_break_off_are_not_taken_for_whole(journey, server, name):
    if name in ("openrouter", "xai"):
        pytest.skip("its results are no file")
    remote = journey.ended(journey.start())
    server.batch.change(on_download=["cut"])
    with pytest.raises(ProviderDown):
        journey.lines(remote)
    assert not list((journey.folder / "results").iterdir())
    assert set(journey.rows(remote)) == {"0", "1", "2"}


def test_no_key_is_in_what_goes_wrong(server, name, tmp_path):
    server.behavior.keys = ["another"]
    llm = model_at(server, name)
    provider = llm.batch_provider()
    assert KEY not in repr(provider.account) and KEY not in provider.account
    with pytest.raises(CredentialError) as caught:
        provider.get("batches/b" if name == "gemini" else "b")
    assert KEY not in f"{caught.value!r}" and caught.value.__context__ is None


def test_a_line_holds_a_whole_request_and_one_newline(journey):
    journey.write(["a\nb \u2028 ü"])
    raw = journey.file.read_bytes()
    assert raw.count(b"\n") == 1 and raw.endswith(b"\n")
    assert orjson.loads(raw)
