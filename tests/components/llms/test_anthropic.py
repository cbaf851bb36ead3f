import pytest
from aiohttp import web

from components.errors import ConfigError, ContentRefused, CredentialError, RateLimited, ReplyError
from components.llms import AnthropicLLM
from components.llms.anthropic import messages_body, parse_message
from components.llms.structured import Form, Rung, parse_json
from tests.components.llms.conftest import KEY, ask
from tests.servers.loopback import Loopback

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["good", "bad"]}}, "required": ["label"]}


def message(*content, stop_reason="end_turn", **usage):
    usage = usage or {"input_tokens": 10, "output_tokens": 7}
    return {
        "type": "message",
        "role": "assistant",
        "content": list(content),
        "stop_reason": stop_reason,
        "usage": usage,
    }


def text(said):
    return {"type": "text", "text": said}


class Messages(Loopback):
    """Answers `/v1/messages` as Anthropic does; `refuses` are words of a body that it does not take."""

    def __init__(self, *refuses):
        super().__init__()
        self.refuses = refuses
        self.asked = []

    def application(self):
        app = web.Application()
        app.router.add_post("/v1/messages", self.answer)
        return app

    async def answer(self, request):
        body = await request.json()
        self.asked.append((dict(request.headers), body))
        for name in self.refuses:
            if name in body:
                said = {"type": "invalid_request_error", "message": f"{name}: Extra inputs are not permitted"}
                return web.json_response({"type": "error", "error": said}, status=400)
        if "tools" in body:
            part = {"type": "tool_use", "id": "t", "name": body["tools"][0]["name"], "input": {"label": "good"}}
            return web.json_response(message(part, stop_reason="tool_use"))
        return web.json_response(message(text('{"label": "good"}')))


def test_the_system_message_stands_apart():
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        *ask("hi"),
    ]
    assert messages_body("m", messages, 9, {"temperature": 0.0, "top_k": None}) == {
        "model": "m",
        "messages": ask("hi"),
        "max_tokens": 9,
        "system": "Be kind.\n\nBe brief.",
        "temperature": 0.0,
    }


def test_a_form_is_asked_for_by_schema_by_tool_or_in_the_prompt():
    form = Form(SCHEMA)
    by_schema = messages_body("m", ask(), 9, None, form, Rung.JSON_SCHEMA)
    assert by_schema["output_config"]["format"]["schema"]["additionalProperties"] is False
    by_tool = messages_body("m", ask(), 9, None, form, Rung.JSON_OBJECT)
    assert by_tool["tools"][0]["input_schema"] == SCHEMA
    assert by_tool["tool_choice"] == {"type": "tool", "name": "answer"}
    assert form.text in messages_body("m", ask(), 9, None, form, Rung.PROMPT)["system"]


def test_pictures_are_sent_as_anthropic_wants_them():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": "https://example.org/a.png"},
    ]
    sent = messages_body("m", [{"role": "user", "content": parts}], 9)["messages"][0]["content"]
    assert sent[0]["source"] == {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert sent[1]["source"] == {"type": "url", "url": "https://example.org/a.png"}
    with pytest.raises(ConfigError, match="needs a url"):
        messages_body("m", [{"role": "user", "content": [{"type": "image_url"}]}], 9)


def test_an_answer_is_its_text_without_the_thoughts():
    thought = {"type": "thinking", "thinking": "hm"}
    data = message(thought, text("a"), text("b"), input_tokens=3, cache_read_input_tokens=4, output_tokens=5)
    assert parse_message(data) == {
        "generations": ["ab"],
        "statistics": {"input_tokens": [7], "output_tokens": [5]},
        "finish_reasons": ["stop"],
    }


@pytest.mark.parametrize(
    ("given", "means"), [("max_tokens", "length"), ("stop_sequence", "stop"), ("end_turn", "stop")]
)
def test_ends_are_told_in_one_vocabulary(given, means):
    assert parse_message(message(text("a"), stop_reason=given))["finish_reasons"] == [means]


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (message(stop_reason="refusal"), ContentRefused, "filter"),
        (message({"type": "thinking", "thinking": "hm"}, stop_reason="max_tokens"), ReplyError, "for thinking"),
        (message(), ReplyError, "without text"),
    ],
)
def test_an_answer_that_is_none_says_why_and_what_it_cost(data, kind, words):
    with pytest.raises(kind, match=words) as caught:
        parse_message(data)
    assert caught.value.statistics["output_tokens"] == [7]


@pytest.mark.parametrize("ending", ["", "/v1"])
def test_it_is_called_with_its_own_headers(ending):
    with Messages() as there:
        llm = AnthropicLLM(model="claude", base_url=there.origin + ending, api_key=KEY)
        output = llm.generate_outputs([ask()], num_generations=2, temperature=0.5, stop_sequences=["x"], top_k=4)[0]
        assert len(output["generations"]) == 2
        assert len(there.asked) == 2
        headers, body = there.asked[0]
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"]
    assert "Authorization" not in headers
    assert (body["max_tokens"], body["temperature"], body["top_k"], body["stop_sequences"]) == (128, 0.5, 4, ["x"])


def test_a_server_that_does_not_know_a_way_to_ask_for_a_form_is_asked_in_another():
    with Messages("output_config", "tools") as there:
        llm = AnthropicLLM(model="claude", base_url=there.origin, api_key=KEY)
        for _ in range(2):
            output = llm.generate_outputs([(ask(), {"schema": SCHEMA})])[0]
            assert parse_json(output["generations"][0], output["finish_reasons"][0], SCHEMA)[0] == {"label": "good"}
        ways = ["output_config" in body or ("tools" in body and "tool") for _, body in there.asked]
    assert ways == [True, "tool", False, False]


def test_a_tools_answer_is_the_answer():
    with Messages("output_config") as there:
        llm = AnthropicLLM(model="claude", base_url=there.origin, api_key=KEY)
        output = llm.generate_outputs([(ask(), {"schema": SCHEMA})])[0]
    assert output["generations"] == ['{"label":"good"}']
    assert output["finish_reasons"] == ["stop"]


def test_a_bare_text_is_a_question():
    with Messages() as there:
        AnthropicLLM(model="claude", base_url=there.origin, api_key=KEY).generate_outputs(["hello"])
        assert there.asked[0][1]["messages"] == ask("hello")


def test_without_a_key_it_says_which_one():
    with pytest.raises(CredentialError, match="ANTHROPIC_API_KEY"):
        AnthropicLLM(model="claude").load()


def test_an_overload_is_a_rate_limit():
    from components.llms.failures import error_for

    said = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert isinstance(error_for(529, {"retry-after": "3"}, said, "Anthropic"), RateLimited)
