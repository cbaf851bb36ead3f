"""All pages of the app in one Gradio app."""

from typing import Any, Final

import gradio as gr

from app.studio import Studio
from app.ui.build import build_page
from app.ui.datasets import datasets_page
from app.ui.home import home_page
from app.ui.jobs import jobs_page
from app.ui.models import models_page
from app.ui.run import run_page
from app.ui.runs import runs_page
from app.ui.theme import HEAD, THEME

UPLOAD_WORDS: Final = {
    "upload_text.drop_file": "Drop a file here",
    "upload_text.click_to_upload": "Choose a file",
}


def build(studio: Studio) -> gr.Blocks:
    """The pages, ready to be mounted with `mount_options`."""
    demo: gr.Blocks
    with gr.Blocks(title="Stillroom", fill_width=True, analytics_enabled=False, delete_cache=(3600, 86_400)) as demo:
        home_page(studio)
    with demo.route("Build", "/build"):
        build_page(studio, demo)
    with demo.route("Runs", "/runs"):
        runs_page()
    with demo.route("Run", "/run"):
        run_page(studio)
    with demo.route("Jobs", "/jobs"):
        jobs_page()
    with demo.route("Datasets", "/datasets"):
        datasets_page(studio)
    with demo.route("Models and keys", "/models"):
        models_page(studio)
    # One slow event, such as the test of a model, must not hold up the others.
    demo.queue(default_concurrency_limit=None)
    return demo


def mount_options() -> dict[str, Any]:
    """What `gr.mount_gradio_app` needs beside the pages: their look, and what their head loads."""
    return {"theme": THEME, "head": HEAD, "i18n": gr.I18n(en=UPLOAD_WORDS)}
