from email.utils import formatdate
from time import time

import pytest

from components.errors import (
    ContentRefused,
    ContextTooLong,
    CredentialError,
    ProviderDown,
    ProviderTimeout,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
    WrongAddress,
)
from components.llms.failures import error_for, retry_after


def openai(message, code=None, param=None):
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}}


def gemini(message):
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


EXTRA = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
CONTEXT = "This model's maximum context length is 8192 tokens."
CREDIT = "Your credit balance is too low to access the API."
MONTHLY = "You have exceeded your monthly included credits for Inference Providers."
TGI = "Input validation error: `inputs` tokens + `max_new_tokens` must be at most 4096 tokens; context window is full"
FLAGGED = {"error": {"message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}}

UPGRADE = "Rate limit reached. Limit 6000, Used 5990. Need more tokens? Visit https://console.groq.com/settings/billing"

SAID = [
    (401, openai("Incorrect API key provided: sk-abc*****wxyz.", "invalid_api_key"), CredentialError),
    (429, openai("You exceeded your current quota", "insufficient_quota"), QuotaExhausted),
    (429, openai("Rate limit reached for requests", "rate_limit_exceeded"), RateLimited),
    (429, openai("Request too large for gpt-4o on tokens per min (TPM): Limit 10000"), ContextTooLong),
    (429, openai(UPGRADE, "rate_limit_exceeded"), RateLimited),
    (429, openai("No flex capacity", "resource_unavailable"), RateLimited),
    (404, openai("The model `gpt-9` does not exist", "model_not_found"), UnknownModel),
    (400, openai(CONTEXT, "context_length_exceeded", "messages"), ContextTooLong),
    (400, openai("The response was filtered", "content_filter"), ContentRefused),
    (400, openai("Unsupported parameter: 'seed' is not supported with this model.", None, "seed"), RequestRefused),
    (400, openai("max_tokens is too large: 99999."), RequestRefused),
    (500, openai("The server had an error"), ProviderDown),
    (503, "<html><h1>503</h1></html>", ProviderDown),
    (408, "", ProviderTimeout),
    (400, anthropic("invalid_request_error", CREDIT), QuotaExhausted),
    (400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens, maximum 200000"), ContextTooLong),
    (404, anthropic("not_found_error", "model: claude-9"), UnknownModel),
    (529, anthropic("overloaded_error", "Overloaded"), RateLimited),
    (400, [gemini("API key not valid. Please pass a valid API key.")], CredentialError),
    (400, gemini("The input token count (9) exceeds the maximum number of tokens allowed (8)."), ContextTooLong),
    (402, {"error": {"message": "Insufficient Balance"}}, QuotaExhausted),
    (403, FLAGGED, ContentRefused),
    (403, {"error": MONTHLY}, QuotaExhausted),
    (403, {"error": "You do not have permission."}, CredentialError),
    (400, openai("Model Not Exist"), UnknownModel),
    (422, {"object": "error", "message": "Invalid model: mistral-x", "code": 1500}, UnknownModel),
    (422, EXTRA, RequestRefused),
    (422, {"error": TGI, "error_type": "validation"}, ContextTooLong),
    (498, {"error": {"message": "flex_capacity_exceeded"}}, RateLimited),
    (413, "payload too large", ContextTooLong),
    (404, "404 page not found", WrongAddress),
    (405, "", WrongAddress),
    (401, b"\xff\xfe not text", CredentialError),
]


@pytest.mark.parametrize(("status", "data", "kind"), SAID)
def test_what_providers_say_becomes_the_error_it_means(status, data, kind):
    error = error_for(status, {}, data, "Provider")
    assert type(error) is kind
    assert error.status == status
    assert "Provider" in error.message or "model can read" in error.message
    assert "\n" not in error.message and "<" not in error.message


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"error": {"message": "Provider returned error", "code": 502}}, ProviderDown),
        ({"error": {"message": "Rate limited", "code": 429}}, RateLimited),
        ({"error": {"message": "slow down", "type": "rate_limit_error"}}, RateLimited),
        ({"error": {"message": "no", "code": "insufficient_quota"}}, ProviderDown),
        ({"error": {"message": "bad key", "code": "401"}}, CredentialError),
    ],
)
def test_an_error_in_a_reply_with_status_200_is_that_error(data, kind):
    assert type(error_for(200, {}, data, "Provider")) is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers, seconds):
    assert retry_after(headers) == seconds


def test_retry_after_may_be_a_date_to_come():
    seconds = retry_after({"Retry-After": formatdate(time() + 60, usegmt=True)})
    assert seconds is not None and 0 < seconds <= 60


def test_gemini_says_in_the_body_how_long_to_wait():
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
    error = error_for(429, {}, {"error": {"message": "Quota", "details": details}}, "Gemini")
    assert error.retry_after == 17.0


def test_a_quota_that_comes_back_by_itself_is_a_rate_limit():
    said = "You exceeded your current quota, please check your plan and billing details."
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
    assert type(error_for(429, {}, {"error": {"message": said, "details": details}}, "Gemini")) is RateLimited
    assert type(error_for(429, {}, {"error": {"message": said}}, "OpenAI")) is QuotaExhausted


def test_the_parameter_that_was_refused_is_kept():
    said = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    assert error_for(422, {}, said, "Mistral").parameter == "seed"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Authorization": "Bearer my-very-own-word"}, "Invalid token my-very-own-word."),
        ({"x-api-key": "my-very-own-word"}, "bad my-very-own-word"),
        ({}, "Incorrect API key provided: sk-proj-ab12cd34ef56."),
        ({}, "Incorrect API key provided: sk-ab**********wxyz."),
        ({}, "Invalid token hf_AbCdEfGhIjKlMnOp"),
        ({}, "key gsk_1234567890abcdef is revoked"),
        ({}, "AIzaSyA1234567890abcdefg is no key"),
    ],
)
def test_a_key_in_what_the_provider_says_is_not_repeated(headers, said):
    message = error_for(401, {}, {"error": {"message": said}}, "Provider", headers).message
    for piece in ("my-very-own-word", "ab12cd34", "wxyz", "AbCdEf", "1234567890"):
        assert piece not in message
    assert "[key]" in message


def test_what_the_provider_says_is_one_line_without_control_signs_and_not_too_long():
    message = error_for(400, {}, {"error": {"message": "a\x00b\x1b[31m\n" + "c" * 5_000}}, "Provider").message
    assert message.isprintable()
    assert len(message) < 400
