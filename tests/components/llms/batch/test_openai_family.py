"""What only some providers of the family do."""

import time

import orjson
import pytest

from components.errors import ConfigError, ProviderError, RateLimited, RequestRefused
from components.llms import XAILLM, AzureOpenAILLM, OpenAILLM
from components.llms.batch import remotes
from components.llms.batch.refusals import LinesRefused
from components.llms.chat import parse_chat, statistics_of
from tests.components.llms.batch.journey import DIALECTS, KEY, Journey, model_at, server_for
from tests.servers import answers


@pytest.fixture
def at(tmp_path, request):
    """A server that plays a provider, and a journey there."""

    def start(name, **settings):
        server = server_for(name, **settings)
        server.start()
        request.addfinalizer(server.stop)
        return server, Journey(model_at(server, name), tmp_path / "batches")

    return start


def first_line(journey):
    return orjson.loads(journey.write().read_bytes().splitlines()[0])


def body_of_create(server):
    made = [one for one in server.calls("POST") if one.path.partition("?")[0].endswith(("/batches", "/jobs"))]
    return made[-1].body


# Lines and bodies


def test_a_line_is_just_as_openai_documents_it(at):
    _, journey = at("openai")
    assert first_line(journey) == {
        "custom_id": "0123456789abcdef-0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "model-1", "messages": [{"role": "user", "content": "row-0 hello"}], "max_tokens": 128},
    }


@pytest.mark.parametrize("name", ["mistral", "together", "openrouter"])
def test_some_want_no_method_and_no_url(at, name):
    _, journey = at(name)
    assert set(first_line(journey)) == {"custom_id", "body"}


def test_mistral_is_told_the_model_once_for_all_rows(at):
    server, journey = at("mistral")
    assert "model" not in first_line(journey)["body"]
    journey.start()
    assert body_of_create(server) == {
        "input_files": [journey.ref],
        "model": "model-1",
        "endpoint": "/v1/chat/completions",
        "timeout_hours": 24,
        "metadata": {"stillroom_job": journey.tag},
    }


def test_openai_is_sent_endpoint_window_and_tag(at):
    server, journey = at("openai")
    journey.start()
    assert body_of_create(server) == {
        "input_file_id": journey.ref,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"stillroom_job": journey.tag},
    }


def test_xai_knows_a_batch_by_its_name(at):
    server, journey = at("xai")
    journey.start()
    assert body_of_create(server) == {"name": journey.tag, "input_file_id": journey.ref}


def test_openrouter_reads_endpoint_and_model_before_the_requests(at):
    server, journey = at("openrouter")
    assert journey.upload() == ""
    journey.create()
    assert list(body_of_create(server)) == ["endpoint", "model", "requests"]


def test_a_bare_text_is_completed_as_it_is_online(at):
    _, journey = at("openai")
    path, body = journey.llm.batch_requests("Once upon", 1, {})[0]
    assert (path, body["prompt"]) == ("/completions", "Once upon")
    journey.path = path
    journey.folder.mkdir()
    journey.file.write_bytes(journey.provider.line(f"{journey.tag}-0", path, body))
    journey.ref = journey.provider.upload(journey.file, "a.jsonl")
    rows = journey.rows(journey.ended(journey.create()))
    assert journey.text(rows["0"]) == ["echo: Once upon"]


def test_embeddings_go_the_same_way(at):
    _, journey = at("openai")
    journey.folder.mkdir()
    journey.path, model = "/embeddings", "text-embedding-3-small"
    texts = {"0": "a text", "1": "another", "2": ["two", "at once"]}
    bodies = {number: {"model": model, "input": text} for number, text in texts.items()}
    lines = [journey.provider.line(f"{journey.tag}-{number}", "/embeddings", body) for number, body in bodies.items()]
    assert {orjson.loads(line)["url"] for line in lines} == {"/v1/embeddings"}
    journey.file.write_bytes(b"".join(lines))
    journey.ref = journey.provider.upload(journey.file, "a.jsonl")
    rows = journey.rows(journey.ended(journey.create()))
    for number, body in bodies.items():
        assert vectors(rows[number].body) == vectors(answers.embeddings(body))
    assert [len(vectors(rows[number].body)) for number in texts] == [1, 1, 2]


def vectors(reply):
    return [item["embedding"] for item in sorted(reply["data"], key=lambda item: item["index"])]


def test_a_structured_output_is_asked_for_as_online(at):
    _, journey = at("openai")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    messages = [{"role": "user", "content": "row-0"}]
    _, body = journey.llm.batch_requests((messages, {"format": "json", "schema": schema}), 1, {})[0]
    assert body["response_format"]["json_schema"]["schema"]["properties"] == schema["properties"]


# Several generations


def test_generations_are_asked_for_in_one_request_where_that_is_possible(at):
    _, journey = at("openai")
    messages = [{"role": "user", "content": "row-0"}]
    bodies = [body for _, body in journey.llm.batch_requests(messages, 3, {"seed": 7})]
    assert [(body["n"], body["seed"]) for body in bodies] == [(3, 7)]


def test_where_it_is_not_each_generation_is_a_request_with_a_seed_of_its_own(at):
    _, journey = at("groq")
    messages = [{"role": "user", "content": "row-0"}]
    bodies = [body for _, body in journey.llm.batch_requests(messages, 3, {"seed": 7})]
    assert [(body.get("n"), body["seed"]) for body in bodies] == [(None, 7), (None, 8), (None, 9)]


def test_an_answer_that_is_missing_among_others_is_none(at):
    server, journey = at("openai")
    server.behavior.has_n = False
    messages = [{"role": "user", "content": "row-0"}]
    reply = journey.llm.generate_outputs([messages])[0]
    body = {"choices": [{"index": 0, "message": {"content": reply["generations"][0]}, "finish_reason": "stop"}]}
    assert journey.llm.batch_output([body], 2)["generations"] == ["echo: row-0", None]


def test_a_refused_answer_raises_as_it_does_online(at):
    _, journey = at("openai")
    body = {"choices": [{"index": 0, "message": {"refusal": "No."}, "finish_reason": "stop"}], "usage": {}}
    with pytest.raises(ProviderError, match="declined"):
        journey.llm.batch_output([body], 1)
    body["usage"] = {"prompt_tokens": 4, "completion_tokens": 2}
    assert journey.llm.batch_usage("/chat/completions", body, 1) == (4, 2)


# How a batch ends


@pytest.mark.parametrize("name", ["openai", "azure", "groq", "doubleword"])
def test_a_file_that_fails_validation_says_which_line(at, name):
    server, journey = at(name)
    server.behavior.models = ["model-1"]
    journey.upload()
    journey.file.write_bytes(journey.file.read_bytes() + b"{broken\n")
    journey.ref = journey.provider.upload(journey.file, "again.jsonl")
    remote = journey.ended(journey.create())
    assert remote.outcome == "failed"
    assert (remote.errors[0].code, remote.errors[0].line) == ("invalid_json_line", 4)
    assert journey.lines(remote) == []


def test_xai_tells_the_line_in_its_sentence(at):
    _, journey = at("xai")
    journey.upload()
    journey.file.write_bytes(journey.file.read_bytes() + b"{broken\n")
    journey.ref = journey.provider.upload(journey.file, "again.jsonl")
    remote = journey.ended(journey.create())
    assert (remote.outcome, remote.errors[0].line) == ("failed", 4)


def test_mistral_refuses_the_upload_for_one_line(at):
    _, journey = at("mistral")
    journey.kwargs = {"temperature": 1.9}
    with pytest.raises(LinesRefused) as caught:
        journey.upload()
    assert [error.line for error in caught.value.lines] == [1]


def test_together_says_why_it_failed_in_a_sentence(at):
    server, journey = at("together")
    server.behavior.models = ["another"]
    remote = journey.ended(journey.start())
    assert remote.outcome == "failed" and "Invalid model ID" in remote.errors[0].message


@pytest.mark.parametrize("name", ["openai", "azure", "groq", "doubleword"])
def test_a_queue_without_room_is_told_by_its_code(at, name):
    _, journey = at(name, failures=["token_limit_exceeded"])
    remote = journey.ended(journey.start())
    assert (remote.outcome, remote.errors[0].code) == ("failed", "token_limit_exceeded")


@pytest.mark.parametrize("way", ["null", "empty_id", "empty_file"])
def test_there_are_three_ways_to_have_no_errors(at, way):
    _, journey = at("openai", no_errors=way)
    remote = journey.ended(journey.start())
    assert ("error_file" in remote.handles) is (way == "empty_file")
    assert len(journey.lines(remote)) == 3


def test_counters_may_go_back_and_mean_nothing(at):
    _, journey = at("openai", polls_until_done=99, done_when_stopped=2)
    remote = journey.start()
    journey.provider.get(remote.id)
    journey.provider.cancel(remote.id)
    remote = journey.ended(journey.provider.get(remote.id))
    assert remote.counts["completed"] == 0
    assert sum(line.is_ok for line in journey.rows(remote).values()) == 2


def test_what_expired_says_so_and_what_was_done_is_kept(at):
    _, journey = at("openai", final="expired", done_when_stopped=2)
    remote = journey.ended(journey.start())
    rows = journey.rows(remote)
    assert remote.outcome == "expired" and sum(line.is_ok for line in rows.values()) == 2
    (late,) = [line for line in rows.values() if not line.is_ok]
    assert (late.code, late.status, late.is_retryable) == ("batch_expired", None, True)


def test_a_row_of_status_0_was_never_answered(at):
    _, journey = at("openai", rows={"row-1": "0"})
    bad = journey.finish()["1"]
    assert bad.body is None and bad.is_retryable


@pytest.mark.parametrize("name", ["openai", "mistral", "openrouter", "azure"])
def test_a_body_may_be_json_inside_a_text(at, name):
    _, journey = at(name, rows={"row-1": "body_as_string"})
    assert journey.text(journey.finish()["1"]) == ["echo: row-1 hello"]


def test_when_the_output_is_gone_the_errors_are_read_all_the_same(at):
    server, journey = at("openai", rows={"row-1": "400"})
    remote = journey.ended(journey.start())
    server.batch.change(on_download=["404"])
    seen = []
    with pytest.raises(ProviderError, match="no such"):
        seen.extend(journey.provider.results(remote, journey.folder))
    server.batch.change(on_download=["404", None])
    rows = {}
    with pytest.raises(ProviderError):
        for line in journey.provider.results(remote, journey.folder):
            rows[line.custom_id] = line
    assert list(rows) == [f"{journey.tag}-1"]


def test_results_that_are_gone_are_read_as_they_were_fetched(at):
    server, journey = at("openai")
    remote = journey.ended(journey.start())
    rows = journey.rows(remote)
    server.batch.change(on_download="404")
    assert journey.rows(remote) == rows


def test_dates_and_retention_are_told(at):
    _, journey = at("groq")
    remote = journey.start()
    assert abs(remote.created_at - time.time()) < 60
    assert remote.expires_at - remote.created_at == 86_400
    assert remote.results_expire_at - remote.created_at == 30 * 86_400


# Azure


@pytest.mark.parametrize(("version", "url"), [(None, "/v1/chat/completions"), ("2024-10-21", "/chat/completions")])
def test_azure_has_two_sets_of_paths(at, version, url, tmp_path):
    server, _ = at("azure")
    llm = AzureOpenAILLM(model="deployment", base_url=server.origin, api_key=KEY, api_version=version)
    journey = Journey(llm, tmp_path / "azure")
    assert set(journey.finish()) == {"0", "1", "2"}
    assert orjson.loads(journey.file.read_bytes().splitlines()[0])["url"] == url
    paths = [one.path for one in server.requests if "/batches" in one.path]
    start = "/openai/batches" if version else "/openai/v1/batches"
    assert all(path.startswith(start) for path in paths)
    assert all(("api-version=2024-10-21" in path) is bool(version) for path in paths)


# xAI


def test_a_cancel_at_xai_is_no_end_until_the_counters_stand_still(at, monkeypatch):
    _, journey = at("xai", polls_until_done=99, done_when_stopped=1, cancel_polls=2)
    remote = journey.start()
    journey.provider.get(remote.id)
    monkeypatch.setattr(remotes, "SETTLE_SECONDS", 3600.0)
    assert journey.provider.cancel(remote.id).outcome is None
    looks = [journey.provider.get(remote.id) for _ in range(4)]
    assert {look.outcome for look in looks} == {None}
    assert looks[-1].counts["completed"] == 1
    monkeypatch.setattr(remotes, "SETTLE_SECONDS", 0.0)
    assert journey.provider.get(remote.id).outcome == "cancelled"


def test_thinking_that_xai_counts_beside_the_completion_is_counted_and_priced(at):
    server, journey = at("xai")
    journey = Journey(XAILLM(model="gpt-5", base_url=server.base_url, api_key=KEY), journey.folder)
    body = dict(journey.finish()["0"].body)
    usage = body["usage"]
    read, seen = usage["prompt_tokens"], usage["completion_tokens"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought > 0 and usage["total_tokens"] == read + seen + thought
    assert journey.llm.batch_usage(journey.path, body, 1) == (read, seen + thought)
    assert parse_chat(body)["statistics"] == {"input_tokens": [read], "output_tokens": [seen + thought]}


@pytest.mark.parametrize("total", [30, None, "30"])
def test_thinking_that_is_part_of_the_completion_is_not_counted_twice(total):
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 15}}
    assert statistics_of(usage | {"total_tokens": total}, 1) == {"input_tokens": [10], "output_tokens": [20]}


def test_results_in_pages_are_read_to_the_last(at, monkeypatch):
    monkeypatch.setattr("components.llms.batch.openai_family.PAGE", 2)
    server, journey = at("xai")
    journey.count = 5
    assert len(journey.finish()) == 5
    assert len([one for one in server.calls("GET") if "/results" in one.path]) == 3


# OpenRouter


def test_openrouter_cannot_cancel_and_says_so(at):
    _, journey = at("openrouter")
    with pytest.raises(RequestRefused, match="cannot cancel"):
        journey.provider.cancel(journey.start().id)
    assert not journey.provider.caps.can_cancel


def test_a_batch_that_is_not_seen_at_once_is_seen_later(at):
    _, journey = at("openrouter", unseen_polls=1)
    remote = journey.start()
    with pytest.raises(ProviderError):
        journey.provider.get(remote.id)
    assert set(journey.rows(journey.ended(remote))) == {"0", "1", "2"}


# Prices


def test_a_tier_of_service_and_a_batch_exclude_each_other(at):
    server, _ = at("openai")
    llm = OpenAILLM(model="m", base_url=server.base_url, api_key=KEY, service_tier="flex")
    with pytest.raises(ConfigError, match="service_tier"):
        llm.batch_provider()


@pytest.mark.parametrize("name", DIALECTS)
def test_a_full_queue_is_held_and_not_rejected(at, name):
    _, journey = at(name, on_create=["queue_full"])
    journey.upload()
    with pytest.raises(RateLimited, match="queue"):
        journey.create()
