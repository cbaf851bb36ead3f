import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.ui.form_fields import Field, Kind, fields_of
from app.ui.form_values import UNSET, from_widget, suited, to_widget, value_at, with_value
from components import catalog

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TYPED = [kind for kind in Kind if kind not in (Kind.SECRET, Kind.COMPONENT, Kind.CHOICE, Kind.RANGE)]


def field(kind: Kind, **more) -> Field:
    return Field(path=("x",), label="X", kind=kind, **more)


@pytest.mark.parametrize("name", catalog.names())
def test_a_form_that_nobody_touched_leaves_every_field_at_its_default(name: str) -> None:
    for one in fields_of(catalog.describe(name)["schema"]):
        if one.kind is not Kind.COMPONENT:
            assert from_widget(one, to_widget(one, UNSET)) is UNSET, one


@given(st.sampled_from(TYPED), VALUES)
@example(Kind.LABELS, ["billing", "billing"])
def test_whatever_a_file_holds_can_be_shown_and_read_back_unchanged(kind: Kind, value) -> None:
    one = suited(field(kind, is_required=True), value)
    # A number that came as text is read as a number, which is what it was meant to be.
    assume(not (one.kind in (Kind.INTEGER, Kind.NUMBER) and isinstance(value, str)))
    read = from_widget(one, to_widget(one, value))
    if value is None or value == "" or value == [] or value == {}:
        assert read is UNSET or read == value
    elif one.kind is Kind.LINES and isinstance(value, str):
        assert read == [value]
    elif one.kind is Kind.DATA_FILE and isinstance(value, list) and len(value) == 1:
        assert read == value[0]
    else:
        assert read == value


def test_labels_are_a_list_until_one_has_a_meaning() -> None:
    labels = field(Kind.LABELS, is_optional=True)
    assert from_widget(labels, "billing\n\n delivery ") == ["billing", "delivery"]
    assert from_widget(labels, "billing: money\ndelivery") == {"billing": "money", "delivery": ""}
    assert to_widget(labels, {"billing": "money", "delivery": ""}) == "billing: money\ndelivery"


@pytest.mark.parametrize(
    ("kind", "shown", "sentence"),
    [
        (Kind.LABELS, "a: b\na: c", "The label 'a' stands there twice."),
        (Kind.PAIRS, "just a word", "Write one `name: value` in each line; 'just a word' is none."),
        (Kind.JSON, '{"a": ', "This is not valid JSON (line 1)."),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(kind: Kind, shown: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_widget(field(kind), shown)
    assert str(caught.value) == sentence


def test_a_number_that_is_none_is_kept_as_typed_for_the_component_to_judge() -> None:
    assert from_widget(field(Kind.INTEGER, default=1), "many") == "many"
    assert from_widget(field(Kind.NUMBER, is_optional=True), "0.7") == 0.7
    assert from_widget(field(Kind.INTEGER), "12") == 12
    assert from_widget(field(Kind.NUMBER, is_optional=True), "  ") is UNSET


def test_clearing_a_text_puts_nothing_in_its_place_only_where_nothing_may_stand() -> None:
    assert from_widget(field(Kind.TEXT, default="train", is_optional=True), "") is None
    assert from_widget(field(Kind.TEXT, default="{{ text }}"), "") == ""
    assert from_widget(field(Kind.TEXT, is_required=True), "") is UNSET


def test_a_value_that_its_widget_could_not_hold_is_shown_as_json() -> None:
    assert suited(field(Kind.LABELS), ["a: b"]).kind is Kind.JSON
    assert suited(field(Kind.LINES), ["two\nlines"]).kind is Kind.JSON
    assert suited(field(Kind.COLUMNS), {"items": "item"}).kind is Kind.JSON
    assert suited(field(Kind.PAIRS), {"a:b": "c"}).kind is Kind.JSON


def test_setting_a_value_leaves_the_rest_alone_and_takes_empty_objects_away() -> None:
    data = {"llm": {"use": "OpenAILLM", "generation_kwargs": {"temperature": 0}}, "n": 2}
    path = ("llm", "generation_kwargs", "temperature")
    assert with_value(data, path, 1)["llm"]["generation_kwargs"] == {"temperature": 1}
    assert with_value(data, path, UNSET) == {"llm": {"use": "OpenAILLM"}, "n": 2}
    assert value_at(data, path) == 0 and value_at(data, ("llm", "nothing")) is UNSET
