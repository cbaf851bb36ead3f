"""Requests in files no larger than the provider takes."""

import json
from dataclasses import replace

import pytest

from components.llms.batch.caps import caps
from components.llms.batch.inline import encoded_line
from components.llms.batch.protocol import Reconcile
from components.pipeline.batch.planning import (
    Limits,
    Request,
    Unsendable,
    custom_id,
    lines_of,
    plan_files,
    read_custom_id,
    remove_orphans,
)
from components.states import Reason
from tests.components.pipeline.batch.conftest import rows, text


class Paper:
    """A provider that only writes lines."""

    def __init__(self, **limits):
        self.caps = replace(caps("openai"), **limits)

    def line(self, name, path, body):
        return encoded_line({"custom_id": name, "url": path, "body": body})

    def read_line(self, line):
        data = json.loads(line)
        return data["custom_id"], data["body"]


def request(idx, body=None, **more):
    return Request(idx, "/chat/completions", body or {"model": "m", "messages": f"row-{idx}"}, row=str(idx), **more)


def plan(tmp_path, requests, limits=None, **caps):
    return plan_files(Paper(**caps), requests, tmp_path, "set", limits=limits or Limits())


def sizes(made):
    return [job["n"] for job in made.jobs]


def test_one_more_than_the_provider_takes_goes_into_a_second_file(tmp_path):
    made = plan(tmp_path, (request(idx) for idx in range(50_001)))
    assert sizes(made) == [50_000, 1]
    names = {job["key"]: sum(1 for _ in open(job["input_file"], "rb")) for job in made.jobs}
    assert sorted(names.values()) == [1, 50_000]
    assert len({(entry.idx, entry.part) for entry in made.entries}) == 50_001


def test_a_file_has_one_form_of_answer_where_the_provider_wants_it_so(tmp_path):
    forms = [{"type": "json_schema", "json_schema": {"name": name}} for name in ("one", "two")]

    def asked(model):
        bodies = [{"model": model, "messages": "m", "response_format": forms[at % 2]} for at in range(6)]
        return [*(request(at, body) for at, body in enumerate(bodies)), request(6, {"model": model, "messages": "m"})]

    limits = {"one_form_models": caps("openrouter").one_form_models}
    made = plan(tmp_path, asked("google/gemini-2.5-flash"), **limits)
    assert sizes(made) == [3, 3, 1]
    for job in made.jobs:
        bodies = [json.loads(line)["body"] for line in open(job["input_file"], "rb")]
        assert len({json.dumps(body.get("response_format")) for body in bodies}) == 1
    assert sizes(plan(tmp_path, asked("openai/gpt-4o-mini"), **limits)) == [7]
    assert sizes(plan(tmp_path, asked("google/gemini-2.5-flash"))) == [7]


def test_files_are_parted_by_bytes(tmp_path):
    made = plan(tmp_path, (request(idx) for idx in range(100)), max_bytes=1000)
    assert len(made.jobs) > 5 and sum(sizes(made)) == 100
    assert all(job["bytes"] <= 1000 for job in made.jobs)
    assert all(job["bytes"] == len(open(job["input_file"], "rb").read()) for job in made.jobs)


def test_files_are_parted_by_tokens(tmp_path):
    made = plan(tmp_path, (request(idx, tokens=30) for idx in range(10)), Limits(tokens=100))
    assert sizes(made) == [3, 3, 3, 1]
    assert [job["tokens"] for job in made.jobs] == [90, 90, 90, 30]


def test_a_row_with_more_tokens_than_a_file_may_hold_is_alone_in_its_file(tmp_path):
    made = plan(tmp_path, [request(0, tokens=10), request(1, tokens=500), request(2, tokens=10)], Limits(tokens=100))
    assert sizes(made) == [1, 1, 1]


def test_each_file_is_of_one_model(tmp_path):
    requests = [request(idx, {"model": "a" if idx % 2 else "b"}) for idx in range(6)]
    made = plan(tmp_path, requests)
    assert sizes(made) == [3, 3]
    for job in made.jobs:
        models = {json.loads(line)["body"]["model"] for line in open(job["input_file"], "rb")}
        assert len(models) == 1


def test_a_row_that_is_too_large_is_in_no_file_and_says_so(tmp_path):
    requests = [request(0), request(1, {"model": "m", "messages": "x" * 2000}), request(2)]
    made = plan(tmp_path, requests, max_line_bytes=1000)
    assert sizes(made) == [2]
    bad = [entry for entry in made.entries if entry.message]
    assert [(entry.idx, entry.job_key, entry.code) for entry in bad] == [(1, "", "too_large")]
    assert "more than the provider takes" in bad[0].message


def test_when_the_first_row_is_too_large_the_file_is_still_filled(tmp_path):
    made = plan(tmp_path, [request(0, {"model": "m", "messages": "x" * 2000}), request(1)], max_line_bytes=1000)
    assert sizes(made) == [1]
    only = plan(tmp_path, [request(0, {"model": "m", "messages": "x" * 2000})], max_line_bytes=1000)
    assert sizes(only) == [] and len(only.entries) == 1
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_row_that_no_json_can_hold_fails_alone(tmp_path):
    made = plan(tmp_path, [request(0, {"model": "m", "messages": "\ud800"}), request(1), Unsendable(2, "2", "", "No.")])
    assert sizes(made) == [1]
    assert [bool(entry.message) for entry in made.entries] == [True, False, True]


def test_files_shrink_where_only_their_size_tells_them_apart(tmp_path):
    made = plan(tmp_path, (request(idx) for idx in range(12)), max_requests=5, reconcile=Reconcile.GUESS)
    assert sizes(made) == [5, 4, 3]


def test_a_plan_that_fails_half_way_leaves_no_files(tmp_path):
    def broken():
        yield request(0)
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        plan(tmp_path, broken())
    assert list(tmp_path.iterdir()) == []


def test_a_name_says_whose_job_it_is_and_which_row():
    key = "0123456789abcdef0123456789abcdef"
    assert custom_id(key, 7, 0) == "b0123456789ab-7" and custom_id(key, 7, 2) == "b0123456789ab-7-2"
    assert read_custom_id("b0123456789ab-7-2", key) == (7, 2)
    for foreign in ("7", "b0123456789ac-7", "b0123456789ab-", "b0123456789ab-7-2-1", "b0123456789ab--1", ""):
        assert read_custom_id(foreign, key) is None
    assert read_custom_id("b0123456789ab-٣", key) is None


def test_what_was_written_can_be_read_back(tmp_path):
    provider = Paper()
    made = plan_files(provider, [request(3), request(5, part=1)], tmp_path, "set")
    job = made.jobs[0]
    read = list(lines_of(provider, tmp_path / f"{job['key']}.jsonl", job["key"]))
    assert [place for place, _ in read] == [(3, 0), (5, 1)]
    assert read[0][1]["messages"] == "row-3"


def test_files_that_no_job_has_are_removed_after_a_while(tmp_path):
    for name in ("known", "orphan", "journal"):
        (tmp_path / f"{name}.jsonl").write_text("")
    remove_orphans(tmp_path, ["known"])
    assert len(list(tmp_path.iterdir())) == 3
    remove_orphans(tmp_path, ["known"], older_than=-1)
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["journal", "known"]


def test_a_row_too_large_fails_and_the_others_are_answered(bench):
    batches = bench.batches()
    batches.provider.caps = replace(batches.provider.caps, max_line_bytes=400)
    names = ["row-0", "row-1 " + "x" * 900, "row-2"]
    _, handed = bench.hand_in(names, batches)
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, names)
    assert [text(found[name]) for name in names] == ["echo: row-0", None, "echo: row-2"]
    assert found[names[1]].reason is Reason.CONTEXT_TOO_LONG
    assert bench.store.counts() == {"inflight": 0, "ok": 2, "failed": 1, "expired": 0, "missing": 0}


def test_when_no_row_can_be_sent_there_is_no_job_and_each_row_says_why(bench):
    batches = bench.batches()
    batches.provider.caps = replace(batches.provider.caps, max_line_bytes=10)
    _, handed = bench.hand_in(rows(3), batches)
    bench.until_over(batches, handed, rounds=1)
    assert len(bench.found(batches, handed, rows(3))) == 3
    assert bench.jobs() == [] and bench.server.batches == []


def test_a_row_whose_prompt_cannot_be_made_fails_alone(bench):
    batches = bench.batches()
    wants = bench.wants(rows(3))
    wants[1] = replace(wants[1], prompt=lambda: {}["title"])
    handed = batches.hand_in(wants, 1, {})
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, rows(3))
    assert found["row-1"].message == "The step had an error: KeyError: 'title'"
    assert text(found["row-2"]) == "echo: row-2"


def test_the_most_that_a_job_can_cost_is_known_before_it_is_sent(bench):
    batches = bench.batches(input_price=1.0, output_price=10.0)
    asked = []
    batches.hand_in(bench.wants(rows(4)), 2, {"max_new_tokens": 100}, allow=asked.append)
    most = sum(batches.llm.most_tokens(want.prompt(), 2, {"max_new_tokens": 100})[0] for want in bench.wants(rows(4)))
    assert asked == [pytest.approx((most * 1.0 + 4 * 200 * 10.0) / 1e6)]
    assert bench.jobs()[0].estimate == pytest.approx(asked[0])


def test_what_may_not_be_spent_is_not_written_down(bench):
    batches = bench.batches()

    def no(_cost):
        raise RuntimeError("too dear")

    with pytest.raises(RuntimeError):
        batches.hand_in(bench.wants(rows(4)), 1, {}, allow=no)
    assert bench.jobs() == [] and list(bench.store.folder.glob("*.jsonl")) == []
