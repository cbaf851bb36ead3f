"""A pipeline as plain data."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from components import catalog
from components.errors import ConfigError, UnknownComponent
from components.llms.llm import AsyncLLM
from components.pipeline import Pipeline, routing_batch_function, sample_n_steps
from components.pipeline.spec import PipelineSpec, is_key_name
from components.steps.columns import CombineOutputs
from tests.fakes import Ask, EchoLLM, Numbers, Review

pytestmark = pytest.mark.usefixtures("known_fakes")
CANARY = "sk-canary-77aa"


class Locked(EchoLLM):
    """A model with a key."""

    api_key: SecretStr | None = None
    """The key."""


def branching() -> Pipeline:
    with Pipeline("fan", "Asks two models.") as pipeline:
        load = Numbers(name="load", count=3)
        asks = [Ask(name=f"ask_{n}", llm=EchoLLM(generation_kwargs={"temperature": 0.5 * n})) for n in range(2)]
        load >> sample_n_steps(1) >> asks >> CombineOutputs(name="join") >> Review(name="review", llm=EchoLLM())
    return pipeline


def test_a_graph_survives_as_data() -> None:
    pipeline = branching()
    spec = pipeline.spec
    graph = spec.build()
    assert PipelineSpec.of(graph, spec.name, spec.description) == spec
    assert [step.dump() for step in graph.steps.values()] == [step.dump() for step in pipeline.graph.steps.values()]
    assert graph.edges == pipeline.graph.edges
    assert graph.routers["load"].dump() == {"use": "sample_n_steps", "n": 1}


def test_the_data_is_short_and_begins_with_what_a_reader_looks_for() -> None:
    document = branching().spec.document()
    assert list(document) == ["stillroom", "pipeline"]
    assert document["pipeline"]["steps"][0] == {"use": "Numbers", "name": "load", "count": 3}
    assert document["pipeline"]["steps"][1] == {
        "use": "Ask",
        "name": "ask_0",
        "llm": {"use": "EchoLLM", "generation_kwargs": {"temperature": 0.0}},
    }
    assert document["pipeline"]["connections"][0] == {"from": "load", "to": ["ask_0", "ask_1"]}
    assert document["pipeline"]["routing"] == [{"from": "load", "use": "sample_n_steps", "n": 1}]


def test_documents_and_json_are_read_back_equal() -> None:
    spec = branching().spec
    assert PipelineSpec.from_document(spec.document()) == spec
    assert PipelineSpec.model_validate_json(spec.model_dump_json()) == spec
    assert PipelineSpec(**json.loads(json.dumps(spec.model_dump()))) == spec


def test_steps_that_are_built_join_no_pipeline_that_is_being_made() -> None:
    spec = branching().spec
    with Pipeline() as outer:
        spec.build()
        Pipeline.from_spec(spec)
    assert outer.graph.steps == {}


def test_drafts_are_held_as_they_are() -> None:
    draft = PipelineSpec(
        steps=[{"use": "Ask"}, {"use": "Nothing", "x": {"y": 1}}, {}],
        connections=[{"from": "ask_0", "to": ["gone"]}],
    )
    assert draft.step_names() == ["ask_0", "nothing_0", "step_0"]
    assert draft.edges() == [("ask_0", "gone")]
    with pytest.raises(ConfigError, match="Step 'ask_0' needs a value for 'llm'"):
        draft.build()


def test_building_says_everything_that_is_wrong() -> None:
    draft = PipelineSpec(steps=[{"use": "Numbers", "count": "x"}, {"use": "Reviews"}])
    with pytest.raises(ConfigError) as error:
        draft.build()
    assert "'numbers_0': 'count'" in str(error.value)
    assert "there is no component 'Reviews'. Did you mean 'Review'?" in str(error.value)
    with pytest.raises(UnknownComponent):
        PipelineSpec(steps=[{"use": "Reviews"}]).build()


def test_a_model_is_no_step() -> None:
    with pytest.raises(ConfigError, match="EchoLLM cannot stand here"):
        PipelineSpec(steps=[{"use": "EchoLLM"}]).build()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "no `pipeline` in it"),
        ({"stillroom": 1, "pipeline": []}, "no `pipeline` in it"),
        ({"pipeline": {}}, "must begin with `stillroom: 1`"),
        ({"stillroom": "1", "pipeline": {}}, "must begin with `stillroom: 1`"),
        ({"stillroom": 2, "pipeline": {}}, "newer Stillroom"),
        ({"stillroom": 1, "pipeline": {}, "module": "os"}, "no 'module'"),
        ({"stillroom": 1, "pipeline": {"stepps": []}}, "The pipeline has no field 'stepps'. Did you mean 'steps'"),
        ({"stillroom": 1, "pipeline": {"steps": {"a": 1}}}, "The pipeline: 'steps'"),
        ({"stillroom": 1, "pipeline": {"steps": ["a"]}}, "The pipeline: 'steps.0'"),
        ({"stillroom": 1, "pipeline": {"connections": [{"to": ["a"]}]}}, "needs a value for 'connections.0.from'"),
        ({"stillroom": 1, "pipeline": {"connections": [{"from": "a", "to": "b"}]}}, "'connections.0.to'"),
        ({"stillroom": 1, "pipeline": {"routing": [{"from": "a"}]}}, "needs a value for 'routing.0.use'"),
        ({"stillroom": 1, "pipeline": {"self": 1}}, "has no field 'self'"),
    ],
)
def test_a_document_of_another_shape_is_refused_plainly(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        PipelineSpec.from_document(document)


def test_the_hash_is_of_what_it_does_not_of_what_it_is_called() -> None:
    spec = branching().spec
    renamed = PipelineSpec(**{**spec.model_dump(), "name": "other", "description": "else"})
    changed = PipelineSpec(**{**spec.model_dump(), "routing": []})
    assert renamed.hash() == spec.hash() != changed.hash()
    assert spec.hash() == PipelineSpec.from_document(spec.document()).hash()


@pytest.mark.parametrize(
    "step",
    [
        {"use": "Ask", "llm": {"use": "Locked", "api_key": CANARY}},
        {"use": "Ask", "llm": {"use": "EchoLLM", "generation_kwargs": {"api_key": CANARY}}},
        {"use": "Unheard", "api_key": CANARY},
        {"use": "Unheard", "model": {"use": "AlsoUnheard", "hf_token": CANARY}},
        {"use": "Unheard", "models": [{"use": "AlsoUnheard", "password": CANARY}]},
    ],
)
def test_a_pipeline_never_holds_a_key(step: dict[str, Any]) -> None:
    catalog.register(Locked)
    with pytest.raises(ConfigError, match="is a key, and a pipeline never holds keys") as error:
        PipelineSpec(steps=[step])
    assert CANARY not in str(error.value)


def test_keys_of_a_script_stay_out_of_the_data(tmp_path: Path) -> None:
    class Careless(AsyncLLM):
        """Keeps its key in plain text."""

        api_key: str = ""
        """The key."""

        @property
        def model_name(self) -> str:
            return "careless"

        async def agenerate(self, input: Any, num_generations: int = 1, api_key: str = "") -> Any:
            return [""]

    catalog.register(Locked)
    with Pipeline("canary") as pipeline:
        load = Numbers()
        careless = Careless(api_key=CANARY, generation_kwargs={"api_key": CANARY})
        load >> Ask(llm=Locked(api_key=SecretStr(CANARY))) >> Review(llm=careless)
    pipeline.save(tmp_path / "p.yaml")
    pipeline.save(tmp_path / "p.json")
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert CANARY not in written + pipeline.spec.model_dump_json() + repr(pipeline.spec)


def test_rows_may_have_columns_that_are_called_like_keys() -> None:
    rows = [{"token": "the", "password": "x"}]
    spec = PipelineSpec(steps=[{"use": "LoadDataFromDicts", "data": rows}])
    assert spec.steps[0]["data"] == rows


@pytest.mark.parametrize(
    ("name", "looks_like_one"),
    [("api_key", True), ("OPENAI_API_KEY", True), ("hf_token", True), ("token", True), ("client_secret", True),
     ("max_tokens", False), ("eos_token", False), ("keywords", False), ("tokenizer", False), ("monkey", False)],
)  # fmt: skip
def test_what_looks_like_a_key(name: str, looks_like_one: bool) -> None:
    assert is_key_name(name) is looks_like_one


def test_code_that_routes_is_named_but_cannot_be_built_again() -> None:
    with Pipeline() as pipeline:
        Numbers(name="load") >> routing_batch_function(lambda steps: steps) >> [Ask(name="a", llm=EchoLLM())]
    spec = pipeline.spec
    assert spec.routing[0].source == "load"
    with pytest.raises(UnknownComponent, match="no routing function"):
        spec.build()


def test_files_are_read_back_equal(tmp_path: Path) -> None:
    spec = branching().spec
    for name in ("p.yaml", "p.yml", "p.json"):
        spec.save(tmp_path / name)
        assert PipelineSpec.read(tmp_path / name) == spec
    assert PipelineSpec.from_data(json.loads(spec.to_json())) == spec
    (tmp_path / "text.yaml").write_text(spec.to_yaml())
    assert PipelineSpec.read(tmp_path / "text.yaml") == spec


@pytest.mark.parametrize("data", [[], None, "pipeline.yaml"])
def test_what_is_no_dict_is_no_pipeline(data: Any) -> None:
    with pytest.raises(ConfigError, match="A pipeline is a dict as `dump` gives it"):
        Pipeline.from_dict(data)
