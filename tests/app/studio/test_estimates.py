import pytest

from components.pipeline.spec import PipelineSpec
from tests.app.pipelines import add_tickets, asking, chain, labeling, model

PRICED = {"input_price": 1.0, "output_price": 2.0}


def test_a_rehearsal_is_free(studio):
    estimate = studio.estimates.estimate(labeling(add_tickets(studio, 20)))
    assert (estimate.rows, estimate.calls, estimate.is_free) == (20, 20, True)
    assert estimate.sentence.startswith("20 rows, 20 calls, ") and estimate.sentence.endswith(", free")
    assert estimate.suggested_cap is None


def test_a_model_on_this_machine_is_free(studio, server):
    assert studio.estimates.estimate(asking(["a"], llm=model(server))).is_free


def test_an_unknown_price_stays_unknown(studio):
    llm = {"use": "OpenAILLM", "model": "nobody-knows-this-model"}
    estimate = studio.estimates.estimate(asking(["a", "b"], llm=llm))
    assert estimate.cost is None and not estimate.is_free and estimate.suggested_cap is None
    assert estimate.sentence.endswith("price unknown")
    assert estimate.calls == 2


def test_a_listed_price_is_found_without_a_key(studio):
    estimate = studio.estimates.estimate(asking(["a"] * 1000, llm={"use": "OpenAILLM", "model": "gpt-4o-mini"}))
    assert estimate.basis == "guessed"
    assert 0 < estimate.cost.low < estimate.cost.high < 1
    assert estimate.suggested_cap >= 1.5 * estimate.cost.high


def test_without_a_preview_the_longest_answer_is_reckoned_with(studio, server):
    llm = model(server, **PRICED, generation_kwargs={"max_new_tokens": 1000})
    estimate = studio.estimates.estimate(asking(["a"] * 10, llm=llm))
    assert estimate.cost.high >= 10 * 1000 * 2.0 / 1_000_000
    assert estimate.cost.low < estimate.cost.high / 5


def test_a_preview_makes_the_estimate_narrow_and_tells_the_time(studio, work, server):
    spec = asking([f"row-{n} say something" for n in range(40)], llm=model(server, **PRICED))
    before = studio.estimates.estimate(spec)
    work(studio.previews.start(spec, rows=5))
    after = studio.estimates.estimate(spec)
    assert (before.basis, after.basis) == ("guessed", "measured")
    assert before.seconds is None and after.seconds > 0
    run_id = studio.runs.start(spec, use_cache=False)
    work(run_id)
    spent = studio.runs.get(run_id).spent
    assert after.cost.low <= spent <= after.cost.high
    assert before.cost.low <= spent <= before.cost.high


def test_what_was_measured_of_another_prompt_does_not_count(studio, work, server):
    work(studio.previews.start(asking(["row-1"], llm=model(server, **PRICED)), rows=1))
    other = asking(["row-1"], llm=model(server, **PRICED), template="Write an essay: {{ instruction }}")
    assert studio.estimates.estimate(other).basis == "guessed"


def test_a_rehearsal_measures_nothing(studio, work):
    spec = asking(["a"])
    work(studio.previews.start(spec, rows=1))
    assert studio.estimates.estimate(spec).basis == "guessed"


def test_the_rows_can_be_limited(studio):
    spec = labeling(add_tickets(studio, 20))
    assert studio.estimates.estimate(spec, rows=5).calls == 5
    assert studio.estimates.estimate(spec, rows=500).calls == 20


def test_several_answers_make_several_rows_for_the_next_step(studio, server):
    spec = chain(
        "two steps",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"instruction": "a"}] * 10},
        {"use": "TextGeneration", "name": "one", "llm": model(server, **PRICED), "num_generations": 3},
        {
            "use": "TextGeneration",
            "name": "two",
            "llm": model(server, **PRICED),
            "template": "{{ generation }}",
            "output_mappings": {"generation": "second"},
        },
    )
    steps = {step.step: step for step in studio.estimates.estimate(spec).steps}
    assert (steps["one"].calls, steps["two"].calls) == (10, 30)
    assert steps["two"].tokens_in.high > steps["two"].tokens_in.low


def test_the_number_of_rows_of_a_far_source_is_unknown(studio):
    spec = chain(
        "far",
        {"use": "LoadDataFromHub", "name": "load", "repo_id": "someone/something"},
        {"use": "TextGeneration", "name": "answer", "llm": {"use": "OpenAILLM", "model": "gpt-4o-mini"}},
    )
    estimate = studio.estimates.estimate(spec)
    assert estimate.rows is None and estimate.cost is None
    assert "rows unknown" in estimate.sentence
    assert studio.estimates.estimate(spec, rows=100).rows == 100


@pytest.mark.parametrize(
    "spec",
    [
        PipelineSpec(name="", steps=[{"use": "TextGeneration", "name": "a"}]),
        PipelineSpec(name="", steps=[{"use": "NoSuchThing", "name": "a"}]),
        chain("x", {"use": "LoadDataFromFileSystem", "name": "load", "data_files": "/etc/passwd"}),
    ],
)
def test_an_unfinished_pipeline_has_no_price_yet(studio, spec):
    assert studio.estimates.estimate(spec).sentence == "Finish the pipeline to see what a run will take."


def test_without_a_model_nothing_is_paid(studio):
    source = {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"a": 1}]}
    assert studio.estimates.estimate(chain("x", source)).sentence == "No model is asked, so nothing is paid."


def test_a_connection_that_is_gone_leaves_the_price_unknown(studio):
    llm = {"use": "OpenAILLM", "model": "gpt-4o-mini", "connection": "gone"}
    assert studio.estimates.estimate(asking(["a"], llm=llm)).cost is None
