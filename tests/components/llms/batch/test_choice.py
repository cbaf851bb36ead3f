"""Which models use which batch API."""

import pytest
from aiohttp import web

from components.errors import CredentialError, ProviderDown
from components.llms import AnthropicLLM, GeminiLLM, InferenceEndpointsLLM, LlamaCppLLM, OpenAILLM, RehearsalLLM
from components.llms.batch import either
from components.llms.batch.anthropic import AnthropicBatch
from components.llms.batch.either import EitherBatch
from components.llms.batch.gemini import GeminiBatch
from components.llms.batch.local import PATH, LocalBatch
from components.llms.batch.openai_family import OpenAIFamilyBatch
from tests.components.llms.batch.journey import KEY, Journey, server_for
from tests.fakes import EchoLLM
from tests.servers.loopback import Loopback
from tests.servers.openai_server import OpenAIServer

ASKED = [{"role": "user", "content": "row-0"}]


@pytest.mark.parametrize(
    ("url", "kind", "most"),
    [
        (None, OpenAIFamilyBatch, 50_000),
        ("https://api.groq.com/openai/v1", OpenAIFamilyBatch, 50_000),
        ("https://api.mistral.ai/v1", OpenAIFamilyBatch, 100_000),
        ("https://api.together.xyz/v1", OpenAIFamilyBatch, 50_000),
        ("https://api.doubleword.ai/v1", OpenAIFamilyBatch, 50_000),
        ("https://openrouter.ai/api/v1", OpenAIFamilyBatch, 50_000),
        ("https://api.x.ai/v1", OpenAIFamilyBatch, 50_000),
        ("https://router.huggingface.co/v1", LocalBatch, 50_000),
        ("https://generativelanguage.googleapis.com/v1beta/openai", LocalBatch, 50_000),
        ("http://localhost:11434/v1", EitherBatch, 50_000),
        ("https://api.deepseek.com", EitherBatch, 50_000),
    ],
)
def test_the_address_decides(url, kind, most):
    provider = OpenAILLM(model="m", base_url=url, api_key=KEY).batch_provider()
    assert type(provider) is kind and provider.caps.max_requests == most


def test_native_models_have_their_own():
    assert type(AnthropicLLM(model="m", api_key=KEY).batch_provider()) is AnthropicBatch
    assert type(GeminiLLM(model="m", api_key=KEY).batch_provider()) is GeminiBatch


@pytest.mark.parametrize(
    "llm",
    [
        RehearsalLLM(),
        EchoLLM(),
        LlamaCppLLM(model_path="model.gguf"),
        InferenceEndpointsLLM(model_id="org/model", api_key=KEY),
        InferenceEndpointsLLM(base_url="http://127.0.0.1:9", api_key=KEY),
    ],
)
def test_every_other_model_works_in_the_background_here(llm):
    assert type(llm.batch_provider()) is LocalBatch
    assert [path for path, _ in llm.batch_requests(ASKED, 2, {})] == [PATH]


def test_a_server_that_answers_has_a_batch_api():
    with server_for("openai") as server:
        llm = OpenAILLM(model="m", base_url=server.base_url, api_key=KEY)
        assert [path for path, _ in llm.batch_requests(ASKED, 1, {})] == ["/chat/completions"]
        llm.batch_requests(ASKED, 1, {})
        (asked,) = [one for one in server.requests if "/batches" in one.path]
        assert asked.path == "/v1/batches?limit=1"


def test_a_server_that_does_not_has_none(tmp_path):
    with OpenAIServer() as server:
        llm = OpenAILLM(model="m", base_url=server.base_url, api_key=KEY)
        journey = Journey(llm, tmp_path)
        assert [path for path, _ in llm.batch_requests(ASKED, 1, {})] == [PATH]
        rows = journey.finish()
        assert journey.text(rows["1"]) == ["echo: row-1 hello"]


class Pages(Loopback):
    """Shows the same web page everywhere, as a site of one page does."""

    def application(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self.show)
        return app

    async def show(self, _request):
        return web.Response(text="<html>welcome</html>", content_type="text/html")


def test_a_web_page_is_no_batch_api():
    with Pages() as server:
        llm = OpenAILLM(model="m", base_url=f"{server.origin}/v1", api_key=KEY)
        assert [path for path, _ in llm.batch_requests(ASKED, 1, {})] == [PATH]


def test_a_server_that_cannot_be_asked_is_not_guessed_about():
    llm = OpenAILLM(model="m", base_url="http://127.0.0.1:9/v1", api_key=KEY)
    with pytest.raises(ProviderDown, match="Nothing answers"):
        llm.batch_requests(ASKED, 1, {})
    with server_for("openai", keys=["another"]) as server:
        llm = OpenAILLM(model="m", base_url=server.base_url, api_key=KEY)
        with pytest.raises(CredentialError):
            llm.batch_requests(ASKED, 1, {})
        server.behavior.keys = None
        assert llm.batch_requests(ASKED, 1, {})[0][0] == "/chat/completions"


def test_a_job_stays_where_it_was_made(tmp_path):
    """A server that loses its batch API, or gains one, changes nothing about jobs that are out."""
    with OpenAIServer() as plain, server_for("openai") as able:
        here = Journey(OpenAILLM(model="m", base_url=plain.base_url, api_key=KEY), tmp_path / "a")
        there = Journey(OpenAILLM(model="m", base_url=able.base_url, api_key=KEY), tmp_path / "b")
        made_here, made_there = here.start(), there.start()
        either.forget()
        assert set(here.rows(here.ended(made_here))) == set(there.rows(there.ended(made_there))) == {"0", "1", "2"}
        either.forget()
        assert {one.id for one in there.provider.recent(0.0)} == {made_there.id, made_here.id}
        assert [one.id for one in here.provider.recent(0.0)] == [made_here.id]
        assert here.provider.account != there.provider.account
