"""The widget for each kind of field, and the moment at which what it holds is saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.ui.form_fields import Field, Kind
from app.ui.form_values import UNSET, suited, to_widget

NOT_SET = "Not set"
SHORT, LONG = 2, 14
HINTS = {
    Kind.LINES: "One in each line.",
    Kind.PAIRS: "One `name: value` in each line.",
    Kind.LABELS: "One in each line; after a colon, what it means.",
    Kind.JSON: "As JSON.",
}


@dataclass(frozen=True)
class Around:
    """What a widget has to know beyond its field."""

    columns: Sequence[str] = ()
    """Columns that reach the step."""
    data_files: Sequence[tuple[str, str]] = ()
    """Names and paths of the files that were added."""


def field_id(field: Field) -> str:
    """The id of a field's element on the page."""
    return "f-" + "-".join(field.path)


def widget(field: Field, value: Any, around: Around = Around()) -> tuple[Field, Any, Any]:
    """The field as the value needs it, its Gradio component, and what the component shows."""
    field = suited(field, value)
    shown = to_widget(field, value)
    common: dict[str, Any] = {
        "label": field.label,
        "info": help_of(field) or None,
        "elem_id": field_id(field),
        # Inside gr.render a widget with a value comes up disabled unless told otherwise.
        "interactive": True,
    }
    component = _make(field, shown, around, common)
    return field, component, component.value


def saving_events(field: Field, component: Any) -> list[Any]:
    """The events after which a person expects the field to be saved."""
    if isinstance(component, gr.Slider):
        return [component.release]
    if isinstance(component, gr.Dropdown):
        return [component.input, component.blur] if component.allow_custom_value else [component.input]
    if isinstance(component, (gr.Textbox, gr.Code)):
        return [component.blur]
    return [component.input]


def help_of(field: Field) -> str:
    """What stands under the label: what the field is for, its bounds and how to write it."""
    sentences = [field.help, _bounds(field), HINTS.get(field.kind, "")]
    return " ".join(sentence for sentence in sentences if sentence)


def _make(field: Field, shown: Any, around: Around, common: dict[str, Any]) -> Any:
    match field.kind:
        case Kind.SWITCH:
            return _switch(field, shown, common)
        case Kind.CHOICE:
            choices = [(str(choice).replace("_", " "), choice) for choice in field.choices]
            return gr.Dropdown([(NOT_SET, ""), *choices] if field.is_optional else choices, value=shown or "", **common)
        case Kind.RANGE if field.is_slider:
            assert field.low is not None and field.high is not None
            return gr.Slider(field.low, field.high, value=shown, step=(field.high - field.low) / 100, **common)
        case Kind.COLUMN:
            return gr.Dropdown(list(around.columns), value=shown, allow_custom_value=True, **common)
        case Kind.COLUMNS:
            known = list(dict.fromkeys([*around.columns, *shown]))
            return gr.Dropdown(known, value=shown, multiselect=True, allow_custom_value=True, **common)
        case Kind.DATA_FILE if "\n" not in shown:
            files = list(around.data_files)
            others = [(shown, shown)] if shown and shown not in {path for _, path in files} else []
            return gr.Dropdown([*files, *others], value=shown or None, **common)
        case Kind.SECRET:
            return gr.Textbox("", type="password", **common)
        case Kind.JSON:
            return _json(shown, common)
        case Kind.MULTILINE | Kind.LINES | Kind.PAIRS | Kind.LABELS | Kind.DATA_FILE:
            lines = 5 if field.kind is Kind.LABELS else 1 if field.kind in (Kind.LINES, Kind.PAIRS) else SHORT
            return gr.Textbox(shown or "", lines=lines, max_lines=LONG, **common)
    text = "" if shown is None else str(shown)
    return gr.Textbox(text, lines=1, max_lines=1, placeholder=_placeholder(field), **common)


def _switch(field: Field, shown: Any, common: dict[str, Any]) -> Any:
    if field.default is None and field.is_optional:
        answer = {True: "yes", False: "no"}.get(shown, "")
        return gr.Dropdown([(NOT_SET, ""), ("Yes", "yes"), ("No", "no")], value=answer, **common)
    return gr.Checkbox(bool(shown), **common)


def _json(shown: str, common: dict[str, Any]) -> Any:
    # gr.Code has no place for help of its own; the form writes it above.
    settings = {name: value for name, value in common.items() if name != "info"}
    return gr.Code(shown, language="json", lines=SHORT, max_lines=LONG, wrap_lines=True, **settings)


def _placeholder(field: Field) -> str | None:
    if field.default in (None, "", UNSET):
        return NOT_SET if field.kind in (Kind.INTEGER, Kind.NUMBER, Kind.RANGE) else None
    return str(field.default)


def _bounds(field: Field) -> str:
    if field.kind not in (Kind.INTEGER, Kind.NUMBER, Kind.RANGE):
        return ""
    low, high = (None if bound is None else f"{bound:g}" for bound in (field.low, field.high))
    if low and high:
        return f"From {low} to {high}."
    if low and float(low) not in (0, 1):
        return f"{low} or more."
    return f"At most {high}." if high else ""
