import pytest

from app.studio.estimates import Estimate
from app.studio.measures import Range
from app.ui.run_offer import amount_of, facts_of, preview_words, whole_number
from components.errors import ConfigError

KNOWN = Estimate("", 2000, 2000, Range(1000, 3000), Range(0.42, 0.6), False, "measured", 0.9)


def test_the_dialog_says_rows_calls_tokens_and_price() -> None:
    assert facts_of(KNOWN) == [
        ("Rows", "2,000"),
        ("Calls", "2,000"),
        ("Tokens", "1,000 to 3,000"),
        ("Price", "$0.42 to $0.60, measured in earlier calls"),
    ]


def test_what_nobody_knows_is_called_unknown_and_never_nothing() -> None:
    facts = dict(facts_of(Estimate("", None, None, None, None)))
    assert facts["Rows"].startswith("unknown") and facts["Calls"] == "unknown" and facts["Price"].startswith("unknown")
    assert dict(facts_of(Estimate("", 5, 0, None, Range(0, 0), True)))["Price"] == "free"


def test_the_preview_says_its_price_on_its_button() -> None:
    assert preview_words(KNOWN) == "Preview 5 (under $0.01 at most)"
    assert preview_words(Estimate("", 2000, 2000, None, Range(90, 100))) == "Preview 5 ($0.25 at most)"
    assert preview_words(Estimate("", 10, 10)) == "Preview 5 (price unknown)"
    assert preview_words(Estimate("", 10, 10, is_free=True)) == "Preview 5"
    assert preview_words(Estimate("Finish the pipeline.")) == "Preview 5"


@pytest.mark.parametrize(("words", "amount"), [("", None), ("2.50", 2.5), ("$1,000", 1000.0), (None, None)])
def test_a_cap_is_read_as_people_write_it(words, amount) -> None:
    assert amount_of(words) == amount


@pytest.mark.parametrize("words", ["two", "-1", "0", "nan", "inf", "1e9"])
def test_what_is_no_cap_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="cap"):
        amount_of(words)


@pytest.mark.parametrize("words", ["0", "-3", "1.5", "many"])
def test_what_is_no_number_of_rows_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="Rows: type a whole number"):
        whole_number(words, "Rows")
    assert whole_number("1,500", "Rows") == 1500 and whole_number(" ", "Rows") is None
