"""Pipelines on a real llama.cpp engine with a tiny model, whose answers mean nothing but keep to their form."""

import pytest

from components.llms import LlamaCppLLM, OpenAILLM
from components.pipeline import Pipeline
from components.pipeline.ledger import shared_ledger
from components.steps import LoadDataFromDicts
from components.steps.tasks import StructuredGeneration, TextClassification
from tests.servers.llama_server import TINY_MODEL, llama_server

pytestmark = pytest.mark.engine

LABELS = ["positive", "negative", "neutral"]
REVIEWS = [
    "The hotel was awful and noisy.",
    "A brilliant little camera.",
    "It came on Tuesday.",
    "I would buy this phone again.",
]
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["label", "score"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    yield
    shared_ledger().close()


@pytest.fixture(scope="module")
def server():
    with llama_server() as server:
        yield server


def over_http(server):
    return OpenAILLM(model="tiny", base_url=server.base_url, generation_kwargs={"max_new_tokens": 60, "temperature": 0})


def in_process(_server):
    return LlamaCppLLM(
        model_path=str(TINY_MODEL), n_ctx=1024, generation_kwargs={"max_new_tokens": 60, "temperature": 0.0}
    )


@pytest.mark.parametrize("model", [over_http, in_process])
def test_rows_are_labeled_with_labels_of_the_list_only(server, model):
    with Pipeline(name=f"label-{model.__name__}") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"text": text} for text in REVIEWS])
        load >> TextClassification(name="label", llm=model(server), available_labels=LABELS, allow_unsure=False)
    distiset = pipeline.run(concurrency=2)
    made = distiset["default"]["train"]
    assert distiset.state == "done", distiset.failures
    assert made["text"] == REVIEWS
    assert set(made["labels"]) <= set(LABELS)


@pytest.mark.parametrize("model", [over_http, in_process])
def test_structured_answers_keep_to_their_schema(server, model):
    import json

    with Pipeline(name=f"structured-{model.__name__}") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": f"Rate this: {text}"} for text in REVIEWS])
        form = {"format": "json", "schema": SCHEMA}
        load >> StructuredGeneration(name="rate", llm=model(server), structured_output=form)
    distiset = pipeline.run(concurrency=2)
    assert distiset.state == "done", distiset.failures
    for answer in distiset["default"]["train"]["generation"]:
        data = json.loads(answer)
        assert data["label"] in ("good", "bad") and data["score"] in range(1, 6)


def test_a_truncated_answer_is_never_mended_into_a_valid_one(server):
    llm = OpenAILLM(model="tiny", base_url=server.base_url, generation_kwargs={"max_new_tokens": 4, "temperature": 0})
    with Pipeline(name="cut") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "Rate this: fine."}])
        load >> StructuredGeneration(name="rate", llm=llm, structured_output={"format": "json", "schema": SCHEMA})
    distiset = pipeline.run()
    assert [failure.reason for failure in distiset.failures] == ["cut_off"]
    assert distiset["default"]["train"].to_list()[0].get("generation") is None
