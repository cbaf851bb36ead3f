"""The form of one step, made from its JSON Schema: what is entered is saved, what is wrong is said at the field."""

import html
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from app.ui.columns import StepColumns
from app.ui.desk import Desk, Updates
from app.ui.form_data import data_picker
from app.ui.form_errors import errors_at_fields
from app.ui.form_fields import Field, Kind
from app.ui.form_model import model_picker
from app.ui.form_sections import Sections, model_sections, sections_of
from app.ui.form_values import UNSET, from_widget, value_at, with_value
from app.ui.form_widgets import Around, field_id, help_of, saving_events, widget
from app.ui.guesses import with_guesses
from app.ui.module import module
from app.ui.step_cards import title_of
from app.ui.workbench import Chosen, Workbench
from components import catalog
from components.errors import ConfigError
from components.pipeline.editing import rename_step, replace_step

Data = dict[str, Any]
NAME = Field(("name",), "Step name", Kind.TEXT, "Letters, digits, dots, dashes and underscores.", is_required=True)


class StepForm:
    """Draws the form of the chosen step inside `gr.render` and saves what is entered."""

    def __init__(self, desk: Desk, bench: Workbench, chosen: Chosen) -> None:
        self.desk, self.bench, self.chosen = desk, bench, chosen
        self.step = chosen.step
        self.columns = bench.columns().get(self.step, StepColumns())
        self.around = Around(self.columns.reaching)
        self.fields: list[Field] = []
        self.widgets: list[Any] = []
        self.shown: list[Any] = []
        self.unread: dict[str, str] = {}
        """What cannot be read as a value, by the id of its field; it is not saved."""

    @property
    def data(self) -> Data:
        """The step as it is saved."""
        return self.bench.spec.step(self.step)

    def draw(self) -> None:
        """The whole form."""
        use = str(self.data["use"])
        self.errors = module("field_errors", {})
        _heading(title_of(use), _first_line(use))
        self.add([NAME])
        sections = sections_of(self.data, self.columns, shows_all=self.chosen.shows_all)
        if sections.data_files:
            data_picker(self, sections.data_files[0])
        self.section("Columns", sections.inputs)
        self.section("Settings", sections.settings)
        for one in sections.components:
            self.model(one)
        self.runtime("Runtime parameters", sections.runtime, is_open=_is_main(sections))
        self.section("More", sections.rest)
        self.wire()

    def model(self, one: Field) -> None:
        """The model that a task asks, with its own settings and parameters."""
        _subheading(one.label if one.path != ("llm",) else "Model", one.help)
        llm = value_at(self.data, one.path, None)
        llm = llm if isinstance(llm, dict) else {}
        try:
            parts = model_sections(llm, one.path, shows_all=self.chosen.shows_all)
        except ConfigError:
            model_picker(self, one, llm, [])
            return
        model_picker(self, one, llm, parts.names)
        self.add(parts.settings)
        self.runtime("Generation parameters", parts.generation, is_open=True)
        self.runtime("Runtime parameters of the model", parts.runtime, is_open=self.chosen.shows_all)

    def section(self, title: str, fields: Sequence[Field]) -> None:
        """Fields under a heading; nothing where there are none."""
        if fields:
            _subheading(title)
            self.add(fields)

    def runtime(self, title: str, fields: Sequence[Field], *, is_open: bool) -> None:
        """Fields that may change from run to run, apart from the settings."""
        if fields:
            with gr.Accordion(title, open=is_open, elem_classes="sr-fold"):
                self.add(fields)

    def add(self, fields: Iterable[Field]) -> None:
        """Make the widgets of fields, in their order."""
        for field in fields:
            value = value_at(self.data, field.path)
            if field.path[0] == "input_mappings" and value is UNSET and field.default not in self.columns.reaching:
                value = None
            if field.kind is Kind.JSON:
                _note(help_of(field))
            self.adopt(*widget(field, value, self.around))

    def adopt(self, field: Field, component: Any, shown: Any) -> None:
        """Let a widget that is made already belong to the form."""
        self.fields.append(field)
        self.widgets.append(component)
        self.shown.append(shown)

    def wire(self) -> None:
        """Save after each change, and show what is wrong from the start."""
        pairs = zip(self.fields, self.widgets, strict=True)
        events = [event for field, component in pairs for event in saving_events(field, component)]
        self.errors.value = self.messages()
        self.desk.edits(partial(gr.on, events), self.save, self.widgets, [self.errors])

    def save(self, bench: Workbench, chosen: Chosen, *shown: Any) -> Any:
        """Write what changed since it was last saved, and nothing else."""
        changed: list[tuple[Field, Any]] = []
        for place, (field, now) in enumerate(zip(self.fields, shown, strict=True)):
            if now == self.shown[place]:
                continue
            self.shown[place] = now
            self.unread.pop(field_id(field), None)
            try:
                changed.append((field, from_widget(field, now)))
            except ValueError as error:
                self.unread[field_id(field)] = str(error)
        if not changed:
            return {self.errors: gr.update(value=self.messages())} if self.unread else gr.skip()
        before = set(self.columns.needs)
        has_new_data = False
        for field, value in changed:
            if field is NAME:
                self._rename(str(value) if value is not UNSET else "")
            else:
                self.change(with_value(self.data, field.path, value))
            if field.kind is Kind.DATA_FILE:
                self._guess(value)
                has_new_data = True
        self.columns = bench.columns().get(self.step, StepColumns())
        return self.updates(redraws=has_new_data or set(self.columns.needs) != before)

    def change(self, data: Data) -> None:
        """Save other data for the step."""
        self.bench.change(lambda spec: replace_step(spec, self.step, data))

    def updates(self, *, redraws: bool) -> Updates:
        """What the page shows after a change; `redraws` has the form made anew."""
        chosen = Chosen(self.step, self.chosen.shows_all)
        if redraws:
            return self.desk.redrawn(self.bench, chosen)
        return self.desk.after_edit(self.bench, chosen) | {self.errors: gr.update(value=self.messages())}

    def messages(self) -> dict[str, str]:
        """What is wrong, by the id of the field's element."""
        problems = [problem for problem in self.bench.problems() if problem.step == self.step]
        at_fields, _ = errors_at_fields(problems, self.fields, self.data)
        return at_fields | self.unread

    def _guess(self, path: Any) -> None:
        datasets = self.desk.studio.datasets
        info = datasets.at(path) if isinstance(path, str) else None
        if info is not None:
            self.bench.change(lambda spec: with_guesses(spec, datasets, info))

    def _rename(self, name: str) -> None:
        self.bench.change(lambda spec: rename_step(spec, self.step, name))
        self.step = name.strip()


def _is_main(sections: Sections) -> bool:
    """Whether a step's runtime parameters are what it is mostly set up by."""
    return not (sections.settings or sections.components)


def _first_line(use: str) -> str:
    try:
        return str(catalog.describe(use)["doc"]).partition("\n")[0]
    except ConfigError:
        return ""


def _heading(title: str, words: str) -> None:
    gr.HTML(f'<h2 class="sr-h2">{html.escape(title)}</h2><p class="sr-note">{html.escape(words)}</p>', padding=False)


def _subheading(title: str, words: str = "") -> None:
    note = f'<p class="sr-note">{html.escape(words)}</p>' if words else ""
    gr.HTML(f'<h3 class="sr-h3">{html.escape(title)}</h3>{note}', padding=False, elem_classes="sr-form-part")


def _note(words: str) -> None:
    if words:
        gr.HTML(f'<p class="sr-note">{html.escape(words)}</p>', padding=False)
