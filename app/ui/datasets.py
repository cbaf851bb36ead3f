"""The Datasets page: add a data file, look at its first rows, delete it."""

from typing import Any, Final

import gradio as gr

from app.studio import Studio
from app.studio.progress import moment
from app.ui.calls import Answer, answering, text
from app.ui.data_table import table_of
from app.ui.desk import ASK, say, told
from app.ui.form_data import ENDINGS, FORMATS, tell_known
from app.ui.module import module
from app.ui.shell import page_shell
from components.errors import StillroomError

REFRESH: Final = "() => { document.dispatchEvent(new CustomEvent('sr:datasets')); }"


def datasets_page(studio: Studio) -> None:
    """Lay out the page."""
    with page_shell("datasets", "Datasets", "Files are copied to this machine and never changed"):
        upload = gr.File(label=f"Add a file: {FORMATS}", file_types=ENDINGS, height=150, elem_id="dataset-upload")
        sample = gr.Button("Add the sample tickets", size="sm", elem_id="add-sample")
        module("datasets", calls=_calls(studio))

    def add(path: str | None) -> Any:
        try:
            if path:
                tell_known(studio.datasets.add(path))
        except StillroomError as error:
            say(error.message)
        return gr.update(value=None)

    def add_sample() -> None:
        tell_known(studio.datasets.add_sample())

    upload.upload(add, upload, upload, **ASK).then(None, None, None, js=REFRESH, api_visibility="private")
    sample.click(told(add_sample), None, None, **ASK).then(None, None, None, js=REFRESH, api_visibility="private")


def _calls(studio: Studio) -> list[Any]:
    def list_datasets(_: Answer) -> Answer:
        return {
            "datasets": [
                {
                    "id": one.id,
                    "name": one.name,
                    "columns": one.columns,
                    "n_rows": one.n_rows,
                    "bytes": one.bytes,
                    "warnings": one.warnings,
                    "created_at": moment(one.created_at),
                }
                for one in studio.datasets.list()
            ]
        }

    def preview_dataset(argument: Answer) -> Answer:
        return table_of(studio, text(argument, "id"))

    def label_dataset(argument: Answer) -> Answer:
        draft = studio.pipelines.create("label_rows", dataset_id=text(argument, "id"))
        return {"to": f"build?pipeline={draft.id}"}

    def delete_dataset(argument: Answer) -> None:
        studio.datasets.delete(text(argument, "id"))

    return [answering(one) for one in (list_datasets, preview_dataset, label_dataset, delete_dataset)]
