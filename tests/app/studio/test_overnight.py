import pytest

from app.studio.overnight import overnight_steps, with_overnight
from components.errors import ConfigError
from components.pipeline.spec import PipelineSpec
from tests.app.pipelines import asking, chain

OPENAI = {"use": "OpenAILLM", "model": "gpt-4o-mini"}


@pytest.fixture(autouse=True)
def home_and_key(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


def two_steps(first=OPENAI, second=OPENAI) -> PipelineSpec:
    data = [{"instruction": f"row-{n}"} for n in range(1_000)]
    return chain(
        "Two",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": data},
        {"use": "TextGeneration", "name": "answer", "llm": first},
        {
            "use": "TextGeneration",
            "name": "judge",
            "llm": second,
            "input_mappings": {"instruction": "generation"},
            "output_mappings": {"generation": "verdict"},
        },
    )


def test_a_step_is_done_now_unless_it_is_chosen():
    spec = with_overnight(two_steps(), ["judge"])
    assert overnight_steps(spec) == {"judge"}
    assert "use_offline_batch_generation" not in spec.step("answer")["llm"]
    assert overnight_steps(with_overnight(spec, ())) == set()
    assert with_overnight(spec, ["judge"]) == spec


def test_half_the_price_and_a_day_where_the_provider_offers_that(studio):
    spec = asking([f"row-{n}" for n in range(1_000)], llm=OPENAI)
    plan = studio.overnight.plan(spec, overnight=["answer"])
    (step,) = plan.steps
    assert (step.provider, step.discount, step.files, step.requests) == ("OpenAI", 0.5, 1, 1_000)
    assert step.overnight.high == pytest.approx(step.now.high / 2)
    assert plan.estimate.cost.high == pytest.approx(step.overnight.high)
    assert plan.saving.high == pytest.approx(step.overnight.high)
    assert (plan.worst_hours, plan.chosen) == (24, ["answer"])
    assert (step.max_requests, step.results_days, step.bytes > 10_000) == (50_000, 30, True)


def test_now_costs_what_it_costs_and_takes_no_day(studio):
    plan = studio.overnight.plan(asking(["a"], llm=OPENAI))
    assert (plan.worst_hours, plan.chosen) == (0, [])
    assert plan.saving.high == 0
    assert plan.estimate.cost.high == plan.steps[0].now.high


def test_batches_of_dependent_steps_come_one_after_the_other(studio):
    assert studio.overnight.plan(two_steps(), overnight=["answer", "judge"]).worst_hours == 48
    assert studio.overnight.plan(two_steps(), overnight=["judge"]).worst_hours == 24


def test_the_discount_is_that_of_this_very_model(studio, monkeypatch):
    monkeypatch.setenv("XAI_API_KEY", "key")
    cheap, full = ({"use": "XAILLM", "model": model} for model in ("grok-4.3", "grok-nobody"))
    steps = studio.overnight.plan(two_steps(cheap, full), overnight=["answer", "judge"]).steps
    assert [step.discount for step in steps] == [0.2, 0.0]


def test_many_rows_are_split_by_what_the_provider_takes(studio):
    spec = asking([f"row-{n}" for n in range(3)], llm=OPENAI)
    (step,) = studio.overnight.plan(spec, overnight=["answer"]).steps
    assert step.files == 1
    data = [{"instruction": "x" * 20} for _ in range(50_001)]
    many = chain(
        "Many",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": data},
        {"use": "TextGeneration", "name": "answer", "llm": OPENAI},
    )
    (step,) = studio.overnight.plan(many, overnight=["answer"]).steps
    assert (step.requests, step.files) == (50_001, 2)


def test_without_a_key_it_is_said_why_not(studio, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    (step,) = studio.overnight.plan(asking(["a"], llm=OPENAI), overnight=["answer"]).steps
    assert not step.is_possible and not step.is_overnight
    assert "needs a key" in step.why_not


def test_any_model_can_be_asked_overnight_on_this_machine(studio):
    (step,) = studio.overnight.plan(asking(["a"]), overnight=["answer"]).steps
    assert (step.is_local, step.provider, step.is_free, step.discount) == (True, "This machine", True, 0.0)
    assert studio.overnight.plan(asking(["a"]), overnight=["answer"]).worst_hours is None


def test_a_cap_below_what_a_batch_may_cost_is_refused_before_it_is_sent(studio):
    plan = studio.overnight.plan(asking([f"row-{n}" for n in range(1_000)], llm=OPENAI), overnight=["answer"])
    studio.overnight.check_cap(plan, None)
    studio.overnight.check_cap(plan, plan.suggested_cap)
    assert plan.suggested_cap >= plan.most > plan.estimate.cost.low
    with pytest.raises(ConfigError, match="cannot be halted at an amount"):
        studio.overnight.check_cap(plan, 0.01)


def test_an_unfinished_pipeline_has_no_plan(studio):
    assert studio.overnight.plan(PipelineSpec(name="Nothing")).steps == []
    assert studio.overnight.plan(chain("Broken", {"use": "Nothing", "name": "a"})).steps == []


def test_a_server_without_a_batch_api_leaves_the_work_to_this_machine(studio, server):
    spec = asking(["a", "b"], llm={"use": "OpenAILLM", "model": "tiny", "base_url": server.base_url})
    assert not studio.overnight.plan(spec).steps[0].is_local
    assert server.requests == []
    (step,) = studio.overnight.plan(spec, overnight=["answer"]).steps
    assert (step.is_overnight, step.is_local, step.provider) == (True, True, "This machine")


def test_overnight_is_not_offered_at_a_server_that_does_not_answer(studio):
    spec = asking(["a"], llm={"use": "OpenAILLM", "model": "tiny", "base_url": "http://127.0.0.1:9/v1"})
    plan = studio.overnight.plan(spec, overnight=["answer"])
    assert plan.chosen == []
    assert not plan.steps[0].is_possible and plan.steps[0].why_not
