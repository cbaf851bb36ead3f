"""Choosing the data of a source: a file that was added, one that is dropped here, or the sample."""

from typing import TYPE_CHECKING, Any

import gradio as gr

from app.studio.datasets import DatasetInfo
from app.ui.data_table import table_of
from app.ui.desk import mention, say
from app.ui.form_fields import Field
from app.ui.form_values import UNSET, to_widget, value_at, with_value
from app.ui.form_widgets import Around, widget
from app.ui.guesses import with_guesses
from app.ui.module import module
from app.ui.workbench import Chosen, Workbench
from components.errors import StillroomError
from components.pipeline.editing import replace_step
from components.pipeline.spec import PipelineSpec

if TYPE_CHECKING:
    from app.ui.form import StepForm

ENDINGS = [".csv", ".tsv", ".txt", ".xlsx", ".json", ".jsonl", ".ndjson", ".parquet"]
FORMATS = "CSV, TSV, XLSX, JSON, JSON Lines or Parquet"


def tell_known(info: DatasetInfo) -> None:
    """Say of a file that was added that it was there before."""
    if info.is_known:
        mention(f"You have this file already: {info.name}.")


def data_picker(form: "StepForm", field: Field) -> None:
    """The file of a source, with its first rows; a file that is dropped is added and chosen at once."""
    datasets = form.desk.studio.datasets
    path = value_at(form.data, field.path)
    known = [(f"{info.name} · {info.n_rows:,} rows", str(info.path)) for info in datasets.list()]
    if known or path is not UNSET:
        around = Around(form.columns.reaching, known)
        form.adopt(*widget(field, path, around))
    upload = gr.File(label="Add a file", file_types=ENDINGS, height=132, elem_id="data-upload")
    sample = gr.Button("Use the sample tickets", size="sm", elem_id="use-sample")
    shown = to_widget(field, path)
    info = datasets.at(shown) if isinstance(shown, str) and shown else None
    if info is not None:
        table = table_of(form.desk.studio, info.id, rows=6)
        module("data_table", table)

    def choose(bench: Workbench, chosen: Chosen, info: DatasetInfo) -> Any:
        def edit(spec: PipelineSpec) -> PipelineSpec:
            data = with_value(spec.step(form.step), field.path, str(info.path))
            # What was detected for the file before says nothing about this one.
            for name in ("filetype", "encoding", "delimiter"):
                data = with_value(data, (name,), UNSET) if name in data else data
            return with_guesses(replace_step(spec, form.step, data), datasets, info)

        bench.change(edit)
        return form.updates(redraws=True)

    def added(bench: Workbench, chosen: Chosen, path: str | None) -> Any:
        if not path:
            return gr.skip()
        try:
            info = datasets.add(path)
            tell_known(info)
            return choose(bench, chosen, info) | {upload: gr.update(value=None)}
        except StillroomError as error:
            say(error.message)
            return {upload: gr.update(value=None)}

    def sampled(bench: Workbench, chosen: Chosen) -> Any:
        return choose(bench, chosen, datasets.add_sample())

    form.desk.edits(upload.upload, added, [upload], [form.errors, upload])
    form.desk.edits(sample.click, sampled, [], [form.errors])
