"""The Build page: the steps of a pipeline as cards, the form of the chosen one beside them, the last preview below."""

import html
from typing import Any

import gradio as gr

from app.studio import Studio
from app.ui.build_run import RunControls
from app.ui.chips import cost_chip
from app.ui.desk import ASK, EDIT, Desk, saved_html, told
from app.ui.inspector import inspector
from app.ui.module import step_cards
from app.ui.shell import heading_html, page_shell
from app.ui.workbench import Chosen, Workbench
from components.errors import StillroomError
from components.pipeline.editing import move_step, remove_step, with_name

NOTHING_OPEN = (
    '<div class="sr-empty"><h2>No pipeline is open</h2><p>Begin with one of the cards on the Home page, '
    'or with a ready pipeline.</p><a class="sr-button sr-primary" href="./">Go to Home</a></div>'
)

# Another step's form begins at its top; on a narrow screen it is below the cards, where nobody would see it change.
SHOW_FORM = """() => {
  const form = document.getElementById("inspector");
  form.scrollTop = 0;
  if (innerWidth < 1081) form.scrollIntoView();
}"""
TO_TOP = "() => { document.getElementById('inspector').scrollTop = 0; }"


def build_page(studio: Studio, demo: gr.Blocks) -> None:
    """Lay out the page; `?pipeline=` in its address says which pipeline it opens, else the one changed last."""
    bench, chosen = gr.State(None), gr.State(Chosen())
    with page_shell("build", "Build") as shell:
        with shell.actions:
            name = gr.Textbox(
                "", label="Pipeline name", show_label=False, container=False, max_lines=1, elem_classes="sr-name"
            )
            saved = gr.HTML(saved_html(), padding=False, elem_classes="sr-saved")
            cost = gr.HTML(cost_chip("…"), padding=False, elem_classes="sr-cost-place")
            check = gr.Button("Check", elem_id="check")
            preview = gr.Button("Preview 5", elem_id="preview-button")
            run = gr.Button("Run", variant="primary", elem_id="run-button")
        nothing = gr.HTML(NOTHING_OPEN, visible=False, padding=False)
        with gr.Row(elem_classes="sr-bench") as table:
            with gr.Column(elem_classes="sr-column"):
                cards = step_cards()
                desk = Desk(studio, bench, chosen, gr.State(0), cards, saved, cost, preview, gr.State(0))
                controls = RunControls(desk)
            with gr.Column(elem_classes="sr-inspector", elem_id="inspector"):
                inspector(desk)
            with gr.Column(elem_classes="sr-below"):
                controls.preview.render()
    controls.wire(check, preview, run)
    controls.found.problem_open(None, None, None, js=SHOW_FORM, api_visibility="private")
    desk.follow_prices()
    _wire_cards(desk)
    _wire_name(desk, name, shell.heading)
    hidden = {part: gr.update(visible=False) for part in (shell.actions, table)}

    def opened(request: gr.Request) -> Any:
        wanted = dict(request.query_params).get("pipeline", "")
        try:
            found = _open(studio, str(wanted))
        except StillroomError as error:
            return hidden | {nothing: gr.update(value=_missing(error.message), visible=True)}
        if found is None:
            return hidden | {nothing: gr.update(visible=True)}
        names = found.spec.step_names()
        first = Chosen(names[0] if names else "")
        return desk.redrawn(found, first) | {
            bench: found,
            name: gr.update(value=found.spec.name),
            shell.heading: heading_html(found.spec.name),
            # A page that is loaded again opens the same pipeline, whatever was changed elsewhere.
            controls.go: gr.update(value={"at": f"build?pipeline={found.id}"}),
        }

    parts = [*desk.parts, *shell, bench, name, nothing, table, controls.go]
    demo.load(opened, None, parts, **ASK).then(controls.last_preview, bench, controls.preview_parts, **ASK)


def _wire_cards(desk: Desk) -> None:
    shared = {"inputs": [desk.bench, desk.chosen], "outputs": desk.parts} | EDIT

    def select(bench: Workbench, chosen: Chosen, event: gr.EventData) -> Any:
        return desk.redrawn(bench, Chosen(str(event.name), chosen.shows_all))

    def add(bench: Workbench, chosen: Chosen, event: gr.EventData) -> Any:
        return desk.redrawn(bench, Chosen("", chosen.shows_all, int(event.index)))

    def move(bench: Workbench, chosen: Chosen, event: gr.EventData) -> Any:
        bench.change(lambda spec: move_step(spec, str(event.name), "up" if int(event.by) < 0 else "down"))
        return desk.redrawn(bench, chosen)

    def remove(bench: Workbench, chosen: Chosen, event: gr.EventData) -> Any:
        names = bench.spec.step_names()
        if event.name not in names:
            # The second click of two.
            return gr.skip()
        at = names.index(str(event.name))
        bench.change(lambda spec: remove_step(spec, str(event.name)))
        left = bench.spec.step_names()
        kept = chosen.step if chosen.step in left else next(iter(left[max(0, at - 1) :] or left), "")
        return desk.redrawn(bench, Chosen(kept, chosen.shows_all))

    desk.cards.step_select(told(select), **shared)
    desk.cards.step_add(told(add), **shared)
    for event in (desk.cards.step_select, desk.cards.step_add):
        event(None, None, None, js=SHOW_FORM, api_visibility="private")
    desk.cards.step_remove(None, None, None, js=TO_TOP, api_visibility="private")
    desk.edits(desk.cards.step_move, move)
    desk.edits(desk.cards.step_remove, remove)


def _wire_name(desk: Desk, name: gr.Textbox, heading: gr.HTML) -> None:
    def rename(bench: Workbench | None, words: str) -> Any:
        if bench is None or not words.strip():
            return {name: gr.update(value=bench.spec.name if bench else "")}
        bench.change(lambda spec: with_name(spec, words))
        return {desk.saved: gr.update(value=saved_html(bench.id)), heading: heading_html(bench.spec.name)}

    gr.on([name.blur, name.submit], told(rename), [desk.bench, name], [name, desk.saved, heading], **EDIT)


def _open(studio: Studio, wanted: str) -> Workbench | None:
    if wanted:
        return Workbench(studio, wanted)
    known = studio.pipelines.list()
    return Workbench(studio, known[0].id) if known else None


def _missing(message: str) -> str:
    words = f"<h2>It is not here</h2><p>{html.escape(message)}</p>"
    return f'<div class="sr-empty">{words}<a class="sr-button" href="./">Go to Home</a></div>'
