"""What a new pipeline begins with: the four cards of the Home page."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from app.studio.datasets import DatasetInfo, Datasets
from components.errors import ConfigError, did_you_mean
from components.pipeline.spec import PipelineSpec

TEXT_NAMES = ("text", "ticket", "message", "body", "content", "comment", "review", "question", "instruction", "prompt")
SAMPLED = 50
Data = dict[str, Any]

REHEARSAL: Data = {"use": "RehearsalLLM"}
# The model is left open: nothing paid is chosen for anybody.
UNCHOSEN: Data = {"use": "OpenAILLM", "model": ""}


@dataclass(frozen=True)
class Template:
    """A card of the Home page."""

    key: str
    title: str
    description: str
    make: Callable[[Data, DatasetInfo | None, str], list[Data]]


def _source(dataset: DatasetInfo | None) -> Data:
    data: Data = {"use": "LoadDataFromFileSystem", "name": "load_data"}
    return data | ({"data_files": str(dataset.path)} if dataset else {})


def _label_rows(llm: Data, dataset: DatasetInfo | None, text: str) -> list[Data]:
    task: Data = {
        "use": "TextClassification",
        "name": "label",
        "llm": llm | _writes(temperature=0, length=64),
        "query_title": "Text",
    }
    if text and text != "text":
        task["input_mappings"] = {"text": text}
    return [_source(dataset), task]


def _generate(llm: Data, dataset: DatasetInfo | None, text: str) -> list[Data]:
    seeds = [
        {"instruction": "Explain to a new colleague what a refund policy is."},
        {"instruction": "Write a short, friendly answer to a customer whose parcel is late."},
        {"instruction": "List three questions to ask before closing a support ticket."},
    ]
    source = _source(dataset) if dataset else {"use": "LoadDataFromDicts", "name": "seeds", "data": seeds}
    task: Data = {"use": "TextGeneration", "name": "answer", "llm": llm | _writes(temperature=0.7, length=512)}
    if dataset and text != "instruction":
        task["input_mappings"] = {"instruction": text}
    return [source, task]


def _transform(llm: Data, dataset: DatasetInfo | None, text: str) -> list[Data]:
    task: Data = {
        "use": "TextGeneration",
        "name": "transform",
        "llm": llm | _writes(temperature=0, length=512),
        "template": "Summarize this text in one sentence.\n\n{{ text }}",
    }
    if text and text != "text":
        task["input_mappings"] = {"text": text}
    return [_source(dataset), task]


def _blank(_llm: Data, _dataset: DatasetInfo | None, _text: str) -> list[Data]:
    return []


TEMPLATES = {
    template.key: template
    for template in (
        Template("label_rows", "Label rows", "Put labels on every row of a table.", _label_rows),
        Template("generate", "Generate training data", "Answers to instructions, to train on.", _generate),
        Template("transform", "Transform a table", "A new column, written from the others.", _transform),
        Template("blank", "Start blank", "An empty pipeline.", _blank),
    )
}


def from_template(
    key: str, *, dataset: DatasetInfo | None = None, datasets: Datasets | None = None, rehearses: bool = False
) -> PipelineSpec:
    """The pipeline of a card, with a data file where one is chosen already.

    Raises: ConfigError when there is no such card.
    """
    if key not in TEMPLATES:
        raise ConfigError(f"There is no template '{key}'.{did_you_mean(key, TEMPLATES)}")
    template = TEMPLATES[key]
    text = text_column(dataset, datasets) if dataset and datasets else ""
    steps = template.make(dict(REHEARSAL if rehearses else UNCHOSEN), dataset, text)
    names = [step["name"] for step in steps]
    connections = [{"from": one, "to": [other]} for one, other in pairwise(names)]
    name = template.title if key != "blank" else "New pipeline"
    return PipelineSpec(name=name, steps=steps, connections=connections)


def text_column(dataset: DatasetInfo, datasets: Datasets) -> str:
    """The column that most likely holds the text: by its name, else the one with the longest texts."""
    by_name = {column.lower(): column for column in reversed(dataset.columns)}
    for name in TEXT_NAMES:
        if name in by_name:
            return by_name[name]
    lengths = dict.fromkeys(dataset.columns, 0)
    for row in islice(datasets.rows(dataset), SAMPLED):
        for column, value in row.items():
            if isinstance(value, str):
                lengths[column] += len(value)
    return max(lengths, key=lambda column: lengths[column])


def _writes(*, temperature: float, length: int) -> Data:
    return {"generation_kwargs": {"temperature": temperature, "max_new_tokens": length}}
