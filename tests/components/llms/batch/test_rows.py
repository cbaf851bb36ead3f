import pytest

from components.llms.batch.rows import failed_line, reply_line


def test_an_answer_is_handed_on_as_it_is():
    line = reply_line("a-1", 200, {"choices": [1]}, None, "OpenAI")
    assert (line.custom_id, line.body, line.status, line.is_ok) == ("a-1", {"choices": [1]}, 200, True)


@pytest.mark.parametrize("name", [None, ""])
def test_a_row_without_a_name_has_an_empty_one(name):
    assert reply_line(name, 200, {"choices": []}, None, "OpenAI").custom_id == ""


def test_a_failure_with_a_null_error_is_read_from_its_body():
    body = {"error": {"message": "Invalid 'temperature'.", "code": "decimal_above_max_value"}}
    line = reply_line("a-1", 400, body, None, "OpenAI")
    assert (line.body, line.status, line.code, line.is_retryable) == (None, 400, "decimal_above_max_value", False)
    assert line.message == "OpenAI refused the request. It says: Invalid 'temperature'."


def test_a_failure_may_be_json_inside_a_text():
    body = '{"object": "error", "message": "No such role.", "type": "invalid_request_file", "code": "3310"}'
    line = reply_line("a-1", 400, body, None, "Mistral")
    assert (line.code, line.is_retryable) == ("invalid_request_file", False) and "No such role." in line.message


def test_a_failure_may_be_a_bare_text():
    assert "went wrong" in reply_line("a-1", 500, "went wrong", None, "OpenAI").message


@pytest.mark.parametrize("status", [408, 409, 425, 429, 498, 499, 500, 502, 503, 504, 529])
def test_what_passes_is_worth_sending_again(status):
    assert reply_line("a", status, {"error": {"message": "x"}}, None, "OpenAI").is_retryable


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_does_not_pass_is_not(status):
    assert not reply_line("a", status, {"error": {"message": "x"}}, None, "OpenAI").is_retryable


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_or_an_empty_purse_is_the_accounts_fault(status):
    line = reply_line("a", status, {"error": {"message": "x"}}, None, "OpenAI")
    assert line.is_account and not line.is_retryable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "batch_expired", "message": "late"}, "batch_expired"),
        ({"code": "batch_cancelled", "message": "stopped"}, "batch_cancelled"),
        ({"code": "expired"}, "batch_expired"),
        ({"code": "canceled"}, "batch_cancelled"),
        ("Batch cancelled", "batch_cancelled"),
    ],
)
def test_a_row_that_was_not_run_is_worth_sending_again(error, code):
    line = reply_line("a", None, None, error, "OpenAI")
    assert (line.code, line.is_retryable, line.body) == (code, True, None) and line.message


@pytest.mark.parametrize(
    ("number", "is_retryable", "is_account"),
    [(3, False, False), (8, True, False), (13, True, False), (14, True, False), (1, True, False), (16, False, True)],
)
def test_googles_numbers_are_understood(number, is_retryable, is_account):
    line = failed_line("a", None, {"code": number, "message": "it says"}, "Google")
    assert (line.is_retryable, line.is_account) == (is_retryable, is_account)


@pytest.mark.parametrize(
    ("text", "is_retryable"),
    [
        ("The service is overloaded, try again later", True),
        ("Rate limit reached", True),
        ("Invalid 'temperature'", False),
        ("Model grok-4.5 is not supported for batch processing.", False),
    ],
)
def test_where_there_are_only_words_the_words_decide(text, is_retryable):
    line = failed_line("a", None, text, "xAI")
    assert line.is_retryable is is_retryable and line.status is None and text in line.message


def test_a_row_of_status_0_was_never_answered():
    line = reply_line("a", 0, {}, None, "OpenAI")
    assert line.is_retryable and line.message == "OpenAI gave no answer to this row."


def test_a_good_status_without_an_answer_is_no_answer():
    for body in (None, [], "nonsense", 7):
        line = reply_line("a", 200, body, None, "OpenAI")
        assert not line.is_ok and line.is_retryable and line.message


def test_an_error_inside_a_good_reply_is_a_failure():
    line = reply_line("a", 200, {"error": {"message": "credit balance is too low", "code": 402}}, None, "OpenRouter")
    assert not line.is_ok and line.is_account


def test_a_key_in_what_is_said_is_taken_out():
    line = failed_line("a", 400, {"error": {"message": "key sk-abcdefgh12345678 is bad"}}, "OpenAI")
    assert "sk-abcdefgh" not in line.message
