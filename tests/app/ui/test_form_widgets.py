import gradio as gr
import pytest

from app.ui.form_fields import Field, Kind, fields_of
from app.ui.form_values import UNSET, from_widget, value_at
from app.ui.form_widgets import Around, help_of, saving_events, widget
from components import catalog


def field(kind: Kind, **more) -> Field:
    return Field(path=("x", "y"), label="Y", kind=kind, **more)


@pytest.fixture(autouse=True)
def page():
    with gr.Blocks():
        yield


@pytest.mark.parametrize("name", catalog.names())
def test_every_field_of_every_component_gets_a_widget_that_says_when_to_save(name: str) -> None:
    for one in fields_of(catalog.describe(name)["schema"]):
        if one.kind is Kind.COMPONENT:
            continue
        shown_field, component, shown = widget(one, UNSET)
        assert saving_events(shown_field, component)
        assert component.elem_id == "f-" + "-".join(one.path)
        assert component.interactive, "Inside gr.render a widget comes up disabled unless told otherwise."
        assert from_widget(shown_field, shown) is UNSET


def test_a_slider_only_where_a_number_always_has_a_value() -> None:
    assert isinstance(widget(field(Kind.RANGE, default=0.5, low=0, high=1), UNSET)[1], gr.Slider)
    assert isinstance(widget(field(Kind.RANGE, low=0, high=1, is_optional=True), UNSET)[1], gr.Textbox)


def test_a_switch_that_may_be_left_open_has_three_answers() -> None:
    one, component, shown = widget(field(Kind.SWITCH, is_optional=True), UNSET)
    assert [value for _, value in component.choices] == ["", "yes", "no"] and shown == ""
    assert [from_widget(one, answer) for answer in ("", "yes", "no")] == [UNSET, True, False]


def test_columns_that_reach_the_step_are_offered_beside_those_chosen_already() -> None:
    _, component, _ = widget(field(Kind.COLUMNS), ["text", "gone"], Around(columns=["id", "text"]))
    assert [value for _, value in component.choices] == ["id", "text", "gone"]
    assert component.allow_custom_value


def test_a_file_that_was_deleted_still_shows() -> None:
    files = [("a.csv · 2 rows", "/data/a.csv")]
    _, component, shown = widget(field(Kind.DATA_FILE), "/data/old.csv", Around(data_files=files))
    assert shown == "/data/old.csv" and len(component.choices) == 2


def test_a_secret_is_never_put_into_a_widget() -> None:
    _, component, shown = widget(field(Kind.SECRET), "sk-canary")
    assert shown == "" and component.value == "" and component.type == "password"


def test_help_names_bounds_and_how_to_write_a_value() -> None:
    assert help_of(field(Kind.RANGE, help="Steady or varied.", low=0, high=2)) == "Steady or varied. From 0 to 2."
    assert help_of(field(Kind.LABELS)) == "One in each line; after a colon, what it means."
    assert help_of(field(Kind.INTEGER, low=1)) == ""


def test_a_value_of_a_component_is_read_from_where_it_stands() -> None:
    assert value_at({"x": {"y": 3}}, field(Kind.INTEGER).path) == 3
