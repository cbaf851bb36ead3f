"""Pipelines and data files for tests of the app."""

import itertools

from components.pipeline.spec import PipelineSpec

LABELS = ["billing", "login", "other"]
REHEARSAL = {"use": "RehearsalLLM"}


def tickets(count=3):
    """A CSV of tickets whose texts name their row."""
    lines = ["id,text", *(f"T-{n},row-{n} I cannot log in" for n in range(count))]
    return "\n".join(lines).encode()


def add_tickets(studio, count=3):
    import io

    return studio.datasets.add(io.BytesIO(tickets(count)), "tickets.csv")


def model(server, **settings):
    """A model on the loopback server."""
    return {"use": "OpenAILLM", "model": "gpt-4o-mini", "base_url": server.base_url, **settings}


def labeling(dataset, llm=REHEARSAL, **settings):
    """Load a file, then label each text."""
    source = {"use": "LoadDataFromFileSystem", "name": "load", "data_files": str(dataset.path)}
    task = {"use": "TextClassification", "name": "label", "llm": llm, "available_labels": LABELS, **settings}
    return chain("Labeling", source, task)


def asking(rows, llm=REHEARSAL, **settings):
    """Rows with an `instruction`, then an answer to each; a row may be a text."""
    data = [{"instruction": row} if isinstance(row, str) else row for row in rows]
    source = {"use": "LoadDataFromDicts", "name": "seeds", "data": data}
    task = {"use": "TextGeneration", "name": "answer", "llm": llm, **settings}
    return chain("Asking", source, task)


def chain(name, *steps):
    """Steps one after the other."""
    names = [step["name"] for step in steps]
    connections = [{"from": one, "to": [other]} for one, other in itertools.pairwise(names)]
    return PipelineSpec(name=name, steps=list(steps), connections=connections)
