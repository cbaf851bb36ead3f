"""What scripts of the older library give does what it says, or is refused in a sentence; nothing is ignored."""

import logging

import pytest

from components.errors import ConfigError
from components.llms import InferenceEndpointsLLM, OpenAILLM
from components.pipeline import Pipeline
from components.pipeline.checks import check
from components.pipeline.convert import convert_component
from components.pipeline.ledger import shared_ledger
from components.steps import LoadDataFromDicts, StepResources, make_generator_step
from components.steps.tasks import TextGeneration
from tests.fakes import EchoLLM


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    yield
    shared_ledger().close()


def asking(**fields):
    with Pipeline(name="asking") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "q"}])
        load >> TextGeneration(name="ask", llm=EchoLLM(), **fields)
    return pipeline


@pytest.mark.parametrize(
    "given",
    [{"storage_parameters": {"path": "gcs://x"}}, {"use_fs_to_pass_data": True}, {"load_groups": [["load"]]}],
)
def test_an_argument_of_a_run_that_means_nothing_is_refused_before_anything_starts(given):
    with pytest.raises(ConfigError, match=f"`{next(iter(given))}` has no meaning here.*Leave it out"):
        asking().run(**given)
    assert asking().run()["default"]["train"]["generation"][:] == ["echo: q"]


def test_where_results_are_kept_is_said_elsewhere(tmp_path):
    with pytest.raises(ConfigError, match="STILLROOM_HOME"):
        Pipeline("old", cache_dir=tmp_path)
    with pytest.raises(ConfigError, match="load_groups"):
        asking().get_load_stages(load_groups=[["load"]])
    with pytest.raises(ConfigError, match="repo_id"):
        make_generator_step([{"a": 1}], repo_id="ada/tickets")


def test_packages_that_a_pipeline_asks_for_must_be_there(tmp_path, caplog):
    pipeline = Pipeline("new", requirements=["pydantic>=2", "nowhere; python_version<'3'"])
    with pytest.raises(ConfigError, match='pip install "pydantic>=999" "no-such-package"'):
        Pipeline("old", requirements=["pydantic>=999", "pyyaml", "no-such-package"])
    with pytest.raises(ConfigError, match="'==1' is no requirement"):
        Pipeline("odd", requirements=["==1"])
    pipeline.save(tmp_path / "new.yaml")
    assert "`requirements` was left out" in caplog.text


def test_rows_given_to_a_run_come_in_batches_of_the_size_that_was_asked_for():
    with Pipeline(name="given") as pipeline:
        TextGeneration(name="ask", llm=EchoLLM())
    graph = pipeline.graph_for({}, [{"instruction": "q"}], 7)
    assert graph.steps[graph.sources()[0]].batch_size == 7
    pipeline.run(dataset=[{"instruction": "q"}], dataset_batch_size=7)
    spec = shared_ledger().run(pipeline.run(dataset=[{"instruction": "q"}], dataset_batch_size=7).run_id).spec
    assert '"batch_size":7' in spec.replace(" ", "")


def test_resources_that_change_nothing_are_told(caplog):
    pipeline = asking(resources=StepResources(replicas=2, gpus=1))
    (problem,) = check(pipeline.graph)
    assert (problem.step, problem.field, problem.severity) == ("ask", "resources", "warning")
    assert "'replicas'" in problem.message and "'gpus'" in problem.message and "'cpus'" not in problem.message
    with caplog.at_level(logging.WARNING):
        pipeline.run()
    assert problem.message in caplog.text
    assert check(asking().graph) == []


@pytest.mark.parametrize("name", ["mode", "max_retries", "whitespace_pattern"])
def test_parts_of_a_form_that_mean_nothing_are_refused(name):
    form = {"format": "json", "schema": {"type": "object", "properties": {}}}
    OpenAILLM(model="m", structured_output=form | {name: None})
    with pytest.raises(ConfigError, match=f"'{name}', which changes nothing here"):
        OpenAILLM(model="m", structured_output=form | {name: 3})


def test_the_tokenizer_of_a_served_model_is_the_servers():
    with pytest.raises(ConfigError, match="takes no tokenizer_id"):
        InferenceEndpointsLLM(model_id="m", tokenizer_id="m")
    assert InferenceEndpointsLLM(model_id="m", tokenizer_id=None).model_id == "m"
    old = {"model_id": "m", "tokenizer_id": "m", "type_info": {"module": "x", "name": "InferenceEndpointsLLM"}}
    data, notes = convert_component(old, InferenceEndpointsLLM)
    assert data == {"use": "InferenceEndpointsLLM", "model_id": "m"}
    assert "'tokenizer_id' has no counterpart" in notes[0]
