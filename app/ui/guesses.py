"""Which column a task most likely wants, when the data does not have one of the name it asks for."""

from typing import Final

from app.studio.datasets import DatasetInfo, Datasets
from app.studio.templates import text_column
from app.ui.columns import columns_of
from app.ui.form_values import with_value
from components.pipeline.editing import replace_step
from components.pipeline.spec import PipelineSpec

TEXTS: Final = frozenset({"text", "instruction", "prompt", "question"})
"""Names under which tasks ask for the text of a row."""


def with_guesses(spec: PipelineSpec, datasets: Datasets, info: DatasetInfo) -> PipelineSpec:
    """The pipeline with every text that its tasks cannot find taken from the likeliest column of the data."""
    for name in spec.step_names():
        columns = columns_of(spec, datasets)[name]
        data = spec.step(name)
        mapped = data.get("input_mappings") or {}
        needed = [own for own, is_needed in columns.needs.items() if is_needed]
        texts = [own for own in needed if own in TEXTS and mapped.get(own, own) not in columns.reaching]
        if len(texts) == 1 and columns.reaching:
            guess = text_column(info, datasets)
            if guess in columns.reaching:
                spec = replace_step(spec, name, with_value(data, ("input_mappings", texts[0]), guess))
    return spec
