import pytest
from aiohttp import web

from components.errors import ContentRefused, ReplyError
from components.llms import GeminiLLM
from components.llms.gemini import content_body, parse_content
from components.llms.structured import Form, Rung
from tests.components.llms.conftest import KEY, ask
from tests.servers.loopback import Loopback

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["good", "bad"]}}, "required": ["label"]}
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2}


def content(*parts, reason="STOP", **more):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason} | more
    return {"candidates": [candidate], "usageMetadata": USAGE}


class GenerateContent(Loopback):
    def __init__(self, *refuses):
        super().__init__()
        self.refuses = refuses
        self.asked = []

    def application(self):
        app = web.Application()
        app.router.add_post("/v1beta/models/{call}", self.answer)
        return app

    async def answer(self, request):
        body = await request.json()
        self.asked.append((request.path, dict(request.headers), body))
        for name in self.refuses:
            if name in body["generationConfig"]:
                said = f"Invalid JSON payload received. Unknown name \"{name}\" at 'generation_config'"
                return web.json_response({"error": {"code": 400, "message": said}}, status=400)
        return web.json_response(content({"text": '{"label": "good"}'}))


def test_roles_and_settings_are_named_as_gemini_names_them():
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
    ]
    assert content_body(messages, {"maxOutputTokens": 9, "temperature": None}) == {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"text": "hello"}]},
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]},
        ],
        "generationConfig": {"maxOutputTokens": 9},
    }


def test_a_form_is_asked_for_by_schema_by_kind_or_in_the_prompt():
    form = Form(SCHEMA)
    by_schema = content_body(ask(), {}, form, Rung.JSON_SCHEMA)["generationConfig"]
    assert by_schema == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    by_kind = content_body(ask(), {}, form, Rung.JSON_OBJECT)
    assert by_kind["generationConfig"] == {"responseMimeType": "application/json"}
    assert form.text in by_kind["systemInstruction"]["parts"][0]["text"]
    assert content_body(ask(), {}, form, Rung.PROMPT)["generationConfig"] == {}


def test_an_answer_is_its_text_without_the_thoughts_which_are_paid_for():
    assert parse_content(content({"text": "hm", "thought": True}, {"text": "a"}, {"text": "b"})) == {
        "generations": ["ab"],
        "statistics": {"input_tokens": [10], "output_tokens": [7]},
        "finish_reasons": ["stop"],
    }


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (content(reason="SAFETY"), ContentRefused, "SAFETY"),
        (content(reason="MAX_TOKENS"), ReplyError, "for thinking"),
        (content(), ReplyError, "without text"),
        ({"candidates": [], "usageMetadata": USAGE}, ReplyError, "without an answer"),
        ({"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": USAGE}, ContentRefused, "blocked"),
    ],
)
def test_an_answer_that_is_none_says_why_and_what_it_cost(data, kind, words):
    with pytest.raises(kind, match=words) as caught:
        parse_content(data)
    assert caught.value.statistics["output_tokens"] == [7]


def test_log_probabilities_begin_with_the_token_that_was_chosen():
    chosen, other = {"token": "a", "logProbability": -1.0}, {"token": "b", "logProbability": -2.0}
    given = {"chosenCandidates": [chosen], "topCandidates": [{"candidates": [other, chosen]}]}
    output = parse_content(content({"text": "a"}, logprobsResult=given))
    assert output["logprobs"] == [[[{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -2.0}]]]


def test_it_is_called_by_its_own_path_with_the_key_in_a_header():
    with GenerateContent() as there:
        llm = GeminiLLM(model="models/gemini-2.5-flash", base_url=f"{there.origin}/v1beta", api_key=KEY)
        llm.generate_outputs(["hello"], stop="x", seed=3, logprobs=True, top_logprobs=2)
        path, headers, body = there.asked[0]
    assert path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert headers["x-goog-api-key"] == KEY
    assert body["generationConfig"] == {
        "maxOutputTokens": 128,
        "stopSequences": ["x"],
        "seed": 3,
        "responseLogprobs": True,
        "logprobs": 2,
    }


def test_a_name_cannot_leave_its_place_in_the_path():
    with GenerateContent() as there:
        GeminiLLM(model="../files/x", base_url=f"{there.origin}/v1beta", api_key=KEY).generate_outputs(["hello"])
        assert there.asked[0][0].startswith("/v1beta/models/")


def test_a_schema_that_is_refused_is_asked_for_in_the_prompt():
    with GenerateContent("responseJsonSchema") as there:
        llm = GeminiLLM(model="gemini", base_url=f"{there.origin}/v1beta", api_key=KEY)
        llm.generate_outputs([(ask(), {"schema": SCHEMA})])
        assert [sorted(body["generationConfig"]) for _, _, body in there.asked] == [
            ["maxOutputTokens", "responseJsonSchema", "responseMimeType"],
            ["maxOutputTokens", "responseMimeType"],
        ]
