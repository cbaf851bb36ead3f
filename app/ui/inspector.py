"""The right side of the Build page: the form of the chosen step, or the components to add one."""

import html
from typing import Any

import gradio as gr

from app.ui.desk import EDIT, Desk
from app.ui.form import StepForm
from app.ui.module import module
from app.ui.palette import alternatives, new_step, shelves, swapped
from app.ui.workbench import Chosen, Workbench
from components import catalog
from components.errors import ConfigError
from components.pipeline.editing import add_step, new_name, replace_step


def inspector(desk: Desk) -> None:
    """Draws the form anew only when another step is chosen, never while somebody types."""

    @gr.render(  # type: ignore[untyped-decorator]
        inputs=[desk.bench, desk.chosen],
        triggers=[desk.drawing.change],
        show_progress="hidden",
        concurrency_limit=None,
    )
    def draw(bench: Workbench | None, chosen: Chosen) -> None:
        if bench is None:
            return
        if chosen.adds_at is None and chosen.step in bench.spec.step_names():
            _form(desk, bench, chosen)
        else:
            _palette(desk, bench, chosen)


def _palette(desk: Desk, bench: Workbench, chosen: Chosen) -> None:
    at = len(bench.spec.steps) if chosen.adds_at is None else chosen.adds_at
    words = "It will stand where you pressed the plus." if chosen.adds_at else "Choose what it does."
    gr.HTML(f'<h2 class="sr-h2">Add a step</h2><p class="sr-note">{words}</p>', padding=False)
    palette = module("palette", {"shelves": shelves()}, events=["component_pick"])

    def pick(bench: Workbench, chosen: Chosen, event: gr.EventData) -> Any:
        name = ""

        def edit(spec: Any) -> Any:
            nonlocal name
            llms = [step["llm"] for step in spec.steps if isinstance(step.get("llm"), dict)]
            data = new_step(str(event.use), llms[-1] if llms else None)
            name = new_name(spec, data["use"])
            after = ["", *spec.step_names()][max(0, min(at, len(spec.steps)))]
            return replace_step(add_step(spec, data["use"], after, name), name, data)

        bench.change(edit)
        return desk.redrawn(bench, Chosen(name, chosen.shows_all))

    desk.edits(palette.component_pick, pick)


def _form(desk: Desk, bench: Workbench, chosen: Chosen) -> None:
    use = str(bench.spec.step(chosen.step)["use"])
    try:
        catalog.get(use)
    except ConfigError as error:
        said = f'<h2 class="sr-h2">{html.escape(use)}</h2><p class="sr-note">{html.escape(str(error))}</p>'
        gr.HTML(said, padding=False)
        return
    form = StepForm(desk, bench, chosen)
    form.draw()
    _more(form, use)


def _more(form: StepForm, use: str) -> None:
    """What stands below every form: another component in its place, and all settings."""
    desk, chosen = form.desk, form.chosen
    others = alternatives(use)
    if chosen.shows_all and len(others) > 1:
        swap = gr.Dropdown(
            others,
            value=use,
            label="Component",
            info="Another one in its place keeps the settings that both have.",
            interactive=True,
            elem_id="f-use",
        )

        def replace(bench: Workbench, chosen: Chosen, other: str) -> Any:
            if other == use:
                return gr.skip()
            bench.change(lambda spec: replace_step(spec, form.step, swapped(spec.step(form.step), other)))
            return form.updates(redraws=True)

        desk.edits(swap.input, replace, [swap], [form.errors])
    toggle = gr.Button("Fewer settings" if chosen.shows_all else "All settings", size="sm", elem_id="all-settings")

    def turn(bench: Workbench, chosen: Chosen) -> Any:
        return desk.redrawn(bench, Chosen(chosen.step, not chosen.shows_all))

    toggle.click(turn, [desk.bench, desk.chosen], desk.parts, **EDIT)
