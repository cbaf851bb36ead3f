"""Choosing the model of a task: where it is, which one, the key if it lacks one, and a tiny test."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from app.ui.desk import ASK, say
from app.ui.form_fields import Field
from app.ui.form_values import value_at, with_value
from app.ui.form_widgets import field_id, help_of
from app.ui.model_choice import OTHER_SERVER, REHEARSAL, lookup, model_field, moved_to, place_of, places
from app.ui.workbench import Chosen, Workbench
from components.errors import RunConflict, StillroomError
from components.llms.providers import CUSTOM, PRESETS, preset

if TYPE_CHECKING:
    from app.ui.form import StepForm

MOST_MODELS = 500
TEST_NOTE = "Test sends one tiny request. A paid model asks a fraction of a cent for it."
REHEARSAL_NOTE = (
    "No model is asked. Answers are made up from the examples that each task declares, to check the wiring at no cost, "
    "and are marked as a rehearsal wherever they show."
)


class ModelPicker:
    """The part of a step's form that says which model answers."""

    def __init__(self, form: "StepForm", field: Field, llm: dict[str, Any]) -> None:
        self.form, self.field, self.llm = form, field, llm
        self.studio = form.desk.studio
        self.place = place_of(llm)
        self.id = field_id(field)
        self.is_settled = False
        """Whether a connection was made from this form; the form that follows is on its way."""

    def draw(self, names: Sequence[Field]) -> None:
        """The provider, what it still needs, the model's name and the test."""
        choices = places(self.studio)
        if self.place not in {place for _, place in choices}:
            choices.append((_gone(self.place), self.place))
        chooser = gr.Dropdown(choices, value=self.place, label="Provider", interactive=True, elem_id=f"{self.id}-place")
        self._listen(chooser.input, self.move, [chooser])
        if self.place == REHEARSAL:
            _note(REHEARSAL_NOTE)
        elif self.place == OTHER_SERVER:
            self._address()
        elif self._lacks_key():
            self._key()
        for name in names:
            self._name(name)

    def move(self, bench: Workbench, chosen: Chosen, place: str) -> Any:
        """Take the model from another place; Gradio may say so twice."""
        llm = self._now()
        if place == place_of(llm):
            return gr.skip()
        return self._put(moved_to(self.studio, llm, place))

    def connect(self, bench: Workbench, chosen: Chosen, address: str, key: str) -> Any:
        """Remember another server with its key, and use it; a second click finds that done."""
        if self.is_settled:
            return gr.skip()
        made = self.studio.connections.add(CUSTOM.id, key, base_url=address)
        self.is_settled = True
        return self._put(moved_to(self.studio, self._now(), f"connection:{made.name}"))

    def save_key(self, bench: Workbench, chosen: Chosen, key: str) -> Any:
        """Remember the key of the provider, and use it."""
        llm = self._now()
        if self.is_settled:
            return gr.skip()
        if place_of(llm) != self.place:
            # Pressed in a form that was about to go: the key must not end up with another provider.
            raise RunConflict("Another provider was chosen meanwhile. Enter its key again.")
        kind, _, name = self.place.partition(":")
        if kind == "connection":
            self.studio.connections.set_key(self.studio.connections.named(name).id, key)
        else:
            name = self.studio.connections.add(name, key).name
        self.is_settled = True
        moved = moved_to(self.studio, llm, f"connection:{name}")
        return self._put(moved | {model_field(moved): llm.get(model_field(llm)) or ""})

    def _now(self) -> dict[str, Any]:
        """The model as it is saved by now."""
        llm = value_at(self.form.data, self.field.path, {})
        return llm if isinstance(llm, dict) else {}

    def _put(self, llm: dict[str, Any]) -> Any:
        self.form.change(with_value(self.form.data, self.field.path, llm))
        return self.form.updates(redraws=True)

    def _name(self, field: Field) -> None:
        value = value_at(self.form.data, field.path, "")
        known = self._known_models()
        choices = list(dict.fromkeys([*known, *([value] if value else [])]))
        info = help_of(field) if not known else f"{help_of(field)} {len(known):,} found."
        box = gr.Dropdown(
            choices,
            value=value or None,
            label="Model",
            info=info,
            allow_custom_value=True,
            interactive=True,
            elem_id=field_id(field),
        )
        self.form.adopt(field, box, value or None)
        place = lookup(self.place)
        if not place:
            return
        with gr.Row(elem_classes="sr-form-row"):
            listing = gr.Button("List models", size="sm", elem_id=f"{self.id}-list")
            test = gr.Button("Test", size="sm", elem_id=f"{self.id}-test")
        said = gr.HTML(_said(TEST_NOTE, ""), elem_id=f"{self.id}-said", padding=False)

        def listed(now: str | None) -> Any:
            try:
                models = self.studio.providers.models(place.get("provider", ""), place.get("connection", ""))
            except StillroomError as error:
                return {said: _said(error.message, "bad")}
            shown = list(dict.fromkeys([*models[:MOST_MODELS], *([now] if now else [])]))
            words = f"{len(models):,} models found. Open the list above."
            return {box: gr.update(choices=shown), said: _said(words, "ok")}

        def tested(now: str | None) -> Any:
            try:
                probe = self.studio.providers.test(now or "", **place)
            except StillroomError as error:
                return _said(error.message, "bad")
            return _said(probe.message, "ok" if probe.ok else "bad")

        listing.click(listed, box, [box, said], **ASK)
        test.click(lambda: _said("Asking for one word …", ""), None, said, **ASK).then(tested, box, said, **ASK)

    def _known_models(self) -> list[str]:
        kind, _, name = self.place.partition(":")
        cards = self.studio.providers.cards() if kind == "provider" else []
        return next((card.models for card in cards if card.id == name), [])

    def _lacks_key(self) -> bool:
        kind, _, name = self.place.partition(":")
        if kind == "connection":
            known = {info.name: info for info in self.studio.connections.list()}
            return name in known and known[name].state == "key_missing"
        if kind != "provider" or preset(name).is_local:
            return False
        return any(card.id == name and card.state == "key_missing" for card in self.studio.providers.cards())

    def _key(self) -> None:
        kind, _, name = self.place.partition(":")
        provider = name if kind == "provider" else self.studio.connections.named(name).provider
        known = preset(provider) if provider in PRESETS else None
        words = f"Kept encrypted on this machine and never shown again. Or set {known.env_key}." if known else ""
        box = gr.Textbox(
            "", type="password", label="Key", info=words, interactive=True, elem_id=f"{self.id}-key", max_lines=1
        )
        with gr.Row(elem_classes="sr-form-row"):
            save = gr.Button("Save key", size="sm", elem_id=f"{self.id}-save-key")
        if known and known.key_page:
            _link(f"Get a key at {known.key_page}", known.key_page)
        self._listen(save.click, self.save_key, [box], clears=box)

    def _address(self) -> None:
        address = gr.Textbox(
            str(self.llm.get("base_url") or ""),
            label="Address",
            info="Of any server that speaks the OpenAI API, such as http://localhost:8000/v1.",
            interactive=True,
            max_lines=1,
            elem_id=f"{self.id}-address",
        )
        key = gr.Textbox(
            "",
            type="password",
            label="Key",
            info="Leave it empty for a server on this machine that needs none.",
            interactive=True,
            max_lines=1,
            elem_id=f"{self.id}-key",
        )
        with gr.Row(elem_classes="sr-form-row"):
            connect = gr.Button("Connect", size="sm", elem_id=f"{self.id}-connect")
        self._listen(connect.click, self.connect, [address, key], clears=key)

    def _listen(self, event: Any, handler: Any, inputs: list[Any], clears: Any = None) -> None:
        def handled(*values: Any) -> Any:
            updates: Any = {clears: gr.update(value="")} if clears is not None else {}
            try:
                made = handler(*values)
            except StillroomError as error:
                say(error.message)
                return updates or gr.skip()
            return made | updates if isinstance(made, dict) and self.form.desk.cards in made else made

        self.form.desk.edits(event, handled, inputs, [clears] if clears is not None else [])


def model_picker(form: "StepForm", field: Field, llm: dict[str, Any], names: Sequence[Field]) -> None:
    """Draw the picker for the model at a field."""
    ModelPicker(form, field, llm).draw(names)


def _gone(place: str) -> str:
    kind, _, name = place.partition(":")
    return f"{name} · there is no such connection here" if kind == "connection" else name or "Choose a provider"


def _said(sentence: str, tone: str) -> str:
    return f'<p class="sr-said" role="status" data-tone="{tone}">{html.escape(sentence)}</p>'


def _note(words: str) -> None:
    gr.HTML(f'<p class="sr-note">{html.escape(words)}</p>', padding=False)


def _link(words: str, url: str) -> None:
    anchor = f'<a href="{html.escape(url)}" target="_blank" rel="noopener noreferrer">{html.escape(words)}</a>'
    gr.HTML(f'<p class="sr-note">{anchor}</p>', padding=False)
