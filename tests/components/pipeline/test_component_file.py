"""A single step or model saved and read again: by its name, without keys, and without code."""

import json
import sys

import pytest

from components.errors import ConfigError, CredentialError, UnknownComponent
from components.llms import LLM, OpenAILLM, RehearsalLLM
from components.pipeline import Pipeline
from components.steps import KeepColumns, Step, StepResources
from components.steps.tasks import TextClassification, TextGeneration

KEY = "sk-canary-4f1e9d7c2b"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def model(**fields):
    return OpenAILLM(model="gpt-4o-mini", generation_kwargs={"temperature": 0.3}, **fields)


def task(**fields):
    return TextClassification(name="label", llm=model(), available_labels=["a", "b"], **fields)


@pytest.mark.parametrize("ending", ["yaml", "json"])
@pytest.mark.parametrize("make", [model, task, lambda: KeepColumns(name="keep", columns=["a"])])
def test_what_was_saved_is_read_the_same(tmp_path, ending, make):
    component, path = make(), tmp_path / f"part.{ending}"
    component.save(path)
    readers = {"yaml": type(component).from_yaml, "json": type(component).from_json}
    for again in (readers[ending](path), type(component).from_file(path), type(component).from_dict(component.dump())):
        assert type(again) is type(component)
        assert again.dump() == component.dump()


def test_the_kind_asked_for_may_be_a_wider_one():
    assert isinstance(LLM.from_dict(model().dump()), OpenAILLM)
    assert isinstance(Step.from_dict(task().dump()), TextClassification)
    assert StepResources.from_dict(StepResources(cpus=2).dump()).cpus == 2


def test_a_component_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="OpenAILLM cannot stand here"):
        Step.from_dict(model().dump())
    with pytest.raises(ConfigError, match="Pipeline.from_dict"):
        Step.from_dict(Pipeline(name="whole").dump())


def test_a_name_is_looked_up_and_never_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "antigravity", raising=False)
    data = {"model": "m", "type_info": {"module": "antigravity", "name": "OpenAILLM"}}
    assert LLM.from_dict(data).model_name == "m"
    for evil in ({"use": "antigravity.fly"}, {"type_info": {"module": "antigravity", "name": "fly"}}):
        with pytest.raises(UnknownComponent, match="fly"):
            LLM.from_dict(evil)
    assert "antigravity" not in sys.modules


def test_a_file_of_the_older_library_is_taken_over_and_says_what_was_not(caplog):
    old = {
        "name": "ask",
        "input_batch_size": 50,
        "llm": {
            "generation_kwargs": {"temperature": 0.3},
            "model": "gpt-4o-mini",
            "wheels": 4,
            "type_info": {"module": "distilabel.models.llms.openai", "name": "OpenAILLM"},
        },
        "runtime_parameters_info": [],
        "type_info": {"module": "distilabel.steps.tasks.text_generation", "name": "TextGeneration"},
    }
    made = TextGeneration.from_dict(old)
    assert (made.name, made.llm.model_name) == ("ask", "gpt-4o-mini")
    assert made.llm.generation_kwargs == {"temperature": 0.3}
    assert "'wheels' has no counterpart" in caplog.text


def test_no_key_is_written_and_none_is_read(tmp_path):
    for name in ("part.yaml", "part.json"):
        task_with_key = TextGeneration(name="ask", llm=model(api_key=KEY))
        task_with_key.save(tmp_path / name)
        assert KEY not in (tmp_path / name).read_text()
    for data in (
        model().dump() | {"api_key": KEY},
        {"use": "TextGeneration", "llm": model().dump() | {"api_key": KEY}},
        model().dump() | {"generation_kwargs": {"api_key": KEY}},
    ):
        with pytest.raises(ConfigError, match="is a key") as error:
            (Step if data["use"] == "TextGeneration" else LLM).from_dict(data)
        assert KEY not in str(error.value)


def test_a_key_of_the_environment_is_not_sent_where_a_file_says(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elsewhere = model(base_url="https://elsewhere.example/v1")
    assert KEY in elsewhere.endpoint.headers["Authorization"]
    elsewhere.save(tmp_path / "model.yaml")
    TextGeneration(name="ask", llm=elsewhere).save(tmp_path / "task.yaml")
    read = [OpenAILLM.from_yaml(tmp_path / "model.yaml"), TextGeneration.from_yaml(tmp_path / "task.yaml").llm]
    for llm in (*read, read[0].with_runtime_parameters({})):
        with pytest.raises(CredentialError):
            llm.endpoint  # noqa: B018 - looking is what fails
    assert KEY in OpenAILLM.from_dict(model().dump()).endpoint.headers["Authorization"]


def test_a_step_that_is_read_joins_the_pipeline_being_built():
    data = {"use": "TextGeneration", "llm": {"use": "RehearsalLLM"}}
    with Pipeline(name="built") as pipeline:
        first, second = Step.from_dict(data), TextGeneration.from_dict(data)
        first >> second
    assert pipeline.spec.step_names() == ["text_generation_0", "text_generation_1"]
    assert pipeline.spec.edges() == [("text_generation_0", "text_generation_1")]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([1], "a dict as `dump` gives it"),
        ({"model": "m"}, "needs `use`"),
        ({"use": "OpenAILLM", "model": "m", "modle": "x"}, "no field 'modle'"),
        ({"use": "OpenAILLM", "model": "m", "generation_kwargs": {"temperature": "hot"}}, "temperature"),
    ],
)
def test_what_is_wrong_is_one_plain_sentence(data, sentence):
    with pytest.raises(ConfigError, match=sentence):
        LLM.from_dict(json.loads(json.dumps(data)))


def test_a_component_that_a_script_did_not_register_says_so():
    class Mine(RehearsalLLM):
        """Of this script."""

    with pytest.raises(UnknownComponent, match="Mine"):
        Mine.from_dict(Mine().dump())
