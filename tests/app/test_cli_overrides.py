"""`--set`: one field of a pipeline for this run, with a value of the right type."""

import pytest

from app.cli.overrides import with_settings
from app.cli.screen import WrongUse
from components.pipeline.spec import PipelineSpec
from tests.app.command import answer, stillroom
from tests.app.pipelines import asking, chain

OPENAI = {"use": "OpenAILLM", "model": "gpt-4o-mini"}


@pytest.fixture
def spec():
    source = {"use": "LoadDataFromDicts", "name": "load.data", "data": [{"text": "a"}, {"text": "b"}]}
    task = {"use": "TextClassification", "name": "label", "llm": OPENAI, "available_labels": ["yes", "no"]}
    again = task | {"name": "label.again", "output_mappings": {"labels": "more"}}
    return chain("Labeling", source, task, again)


def built(spec, setting, step="label"):
    return with_settings(spec, [setting]).build().steps[step]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature=0.3", 0.3),
        ("temperature=1", 1.0),
        ("max_new_tokens=64", 64),
        ("logprobs=true", True),
        ("logprobs=yes", True),
        ("seed=null", None),
        ('stop=["a", "b"]', ["a", "b"]),
        ("stop=5", "5"),
        ('extra_body={"top_k": 3}', {"top_k": 3}),
        ("extra_body.top_k=3", {"top_k": 3}),
        ("reasoning_effort=low", "low"),
    ],
)
def test_a_generation_parameter_gets_the_type_of_its_field(spec, setting, value):
    kwargs = built(spec, f"label.llm.generation_kwargs.{setting}").llm.generation_kwargs
    name = setting.partition("=")[0].partition(".")[0]
    assert kwargs == {name: value}
    assert type(kwargs[name]) is type(value)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("label.n=2", "n", 2),
        ("label.allow_unsure=false", "allow_unsure", False),
        ("label.query_title=2026", "query_title", "2026"),
        ("label.context=a = b", "context", "a = b"),
        ('label.system_prompt="Quoted"', "system_prompt", '"Quoted"'),
        ("label.context=", "context", ""),
        ('label.available_labels=["up", "down"]', "available_labels", ["up", "down"]),
        ('label.available_labels={"up": "better"}', "available_labels", {"up": "better"}),
        ("label.input_mappings.text=subject", "input_mappings", {"text": "subject"}),
        ("label.input_mappings.text=7", "input_mappings", {"text": "7"}),
    ],
)
def test_any_field_of_a_step_can_be_set(spec, setting, field, value):
    assert getattr(built(spec, setting), field) == value


def test_a_value_of_a_field_that_takes_anything_is_a_number_where_it_looks_like_one(spec):
    assert built(spec, "load.data.data.1.text=5", "load.data").data == [{"text": "a"}, {"text": 5}]


def test_the_model_itself_can_be_replaced(spec):
    assert type(built(spec, "label.llm.use=RehearsalLLM").llm).__name__ == "RehearsalLLM"


def test_the_longest_step_name_is_meant_where_names_hold_dots(spec):
    changed = with_settings(spec, ["label.again.n=2"]).build()
    assert (changed.steps["label"].n, changed.steps["label.again"].n) == (1, 2)


def test_several_settings_hold_together(spec):
    changed = with_settings(spec, ["label.n=2", "label.n=3", "label.again.n=4"]).build()
    assert (changed.steps["label"].n, changed.steps["label.again"].n) == (3, 4)


def test_the_pipeline_that_was_read_stays_as_it_was(spec):
    before = spec.model_dump_json()
    with_settings(spec, ["label.n=2"])
    assert spec.model_dump_json() == before


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "label.llm.generation_kwargs.temperture=1",
            "--set label.llm.generation_kwargs.temperture=1: OpenAILLM of step 'label' has no generation parameter "
            "'temperture'. Did you mean 'temperature'?",
        ),
        (
            "label.lm.model=gpt",
            "--set label.lm.model=gpt: Step 'label' has no field 'lm'. Did you mean 'llm'?",
        ),
        ("labl.n=2", "--set labl.n: there is no step 'labl' in the pipeline. Did you mean 'label'?"),
        ("label.n", "--set label.n: write it as step.field=value."),
        ("label=2", "--set label: name a field of the step too, as in label.llm.model=NAME."),
        ("label.=2", "--set label.: name a field of the step too, as in label.llm.model=NAME."),
        ("label.name=other", "--set label.name=other: the name of a step is changed in the pipeline's file."),
        (
            "label.llm.use=OpenAI",
            "--set label.llm.use=OpenAI: There is no component 'OpenAI'. Did you mean 'OpenAILLM'?",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_the_closest(spec, setting, sentence):
    with pytest.raises(WrongUse) as error:
        with_settings(spec, [setting])
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "setting",
    [
        "label.n=many",
        "label.n=0",
        "label.n.x=1",
        "label.llm.generation_kwargs.temperature=hot",
        "label.llm.generation_kwargs.temperature=9",
        "label.available_labels=[]",
        "load.data.data.9.text=x",
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_flag(spec, setting):
    with pytest.raises(WrongUse) as error:
        with_settings(spec, [setting])
    assert str(error.value).startswith(f"--set {setting}: ")


def test_a_key_is_refused_and_not_repeated(spec):
    with pytest.raises(WrongUse) as error:
        with_settings(spec, ["label.llm.api_key=sk-canary"])
    assert str(error.value).startswith("--set label.llm.api_key=…: ")
    assert "a pipeline never holds keys" in str(error.value)
    assert "canary" not in str(error.value)


def test_a_fault_that_was_there_before_is_not_blamed_on_the_flag():
    spec = PipelineSpec(steps=[{"use": "TextClassification", "name": "label", "n": 0, "llm": OPENAI}])
    assert with_settings(spec, ["label.llm.model=gpt-5-mini"]).step("label")["llm"]["model"] == "gpt-5-mini"


def test_what_was_set_is_what_the_run_uses_and_keeps(tmp_path, monkeypatch, server):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    asking(["one"], {"use": "OpenAILLM", "model": "gpt-4o", "base_url": server.base_url}).save(tmp_path / "p.yaml")
    settings = ["answer.llm.generation_kwargs.temperature=0.3", "answer.llm.model=gpt-4o-mini"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert answer("run", tmp_path / "p.yaml", *words)["state"] == "done"
    assert (server.requests[0].body["temperature"], server.requests[0].body["model"]) == (0.3, "gpt-4o-mini")


def test_a_wrong_setting_ends_the_command_with_2(tmp_path):
    asking(["one"]).save(tmp_path / "p.yaml")
    done = stillroom("run", tmp_path / "p.yaml", "--set", "answer.tempalte=x")
    assert (done.exit_code, done.stderr) == (
        2,
        "--set answer.tempalte=x: Step 'answer' has no field 'tempalte'. Did you mean 'template'?\n",
    )
