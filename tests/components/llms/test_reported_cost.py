"""What a provider says that a call did cost goes before its list price."""

import asyncio

import pytest
from aiohttp import web

from components.errors import ReplyError
from components.llms import XAILLM, OpenAILLM, OpenRouterLLM
from components.llms.meter import metered
from components.llms.providers import PRESETS
from tests.components.llms.conftest import KEY, ask
from tests.servers.loopback import Loopback

TOKENS = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}


class Billing(Loopback):
    """Answers each call with a given count of tokens."""

    def __init__(self, usage, text="hi"):
        super().__init__()
        self.usage, self.text = usage, text

    def application(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self.answer)
        return app

    async def answer(self, _request):
        choice = {"message": {"content": self.text}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": self.usage})


def metered_call(kind, usage, text="hi", count=1, **settings):
    """What the meter says of a call."""
    with Billing(TOKENS | usage, text) as server:
        llm = kind(model="m-1", base_url=f"http://127.0.0.1:{server.port}/v1", api_key=KEY, **settings)
        llm.load()
        with metered() as meter:
            try:
                asyncio.run(llm.complete(ask("hello"), count))
            except ReplyError:
                assert text is None
    return meter


LISTED = {"input_price": 1.0, "output_price": 2.0}


def without_price(kind):
    """A model of which nobody knows the price."""
    return type(kind.__name__, (kind,), {"__module__": __name__, "price": property(lambda _self: None)})


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize(
    ("kind", "usage", "cost"),
    [
        (OpenRouterLLM, {"cost": 0.0125, "is_byok": False}, 0.0125),
        (OpenRouterLLM, {"cost": 0}, 0.0),
        (XAILLM, {"cost_in_usd_ticks": 125_000_000}, 0.0125),
    ],
)
def test_what_the_provider_charged_is_what_a_call_cost(kind, usage, cost, is_listed):
    meter = metered_call(kind, usage, **LISTED) if is_listed else metered_call(without_price(kind), usage)
    assert (meter.cost, meter.cost_known) == (pytest.approx(cost), True)
    assert (meter.input_tokens, meter.output_tokens) == (1000, 1000)


@pytest.mark.parametrize(
    ("kind", "usage"),
    [
        (OpenAILLM, {"cost": 5}),
        (OpenRouterLLM, {}),
        (OpenRouterLLM, {"cost": "0.1"}),
        (OpenRouterLLM, {"cost": True}),
        (OpenRouterLLM, {"cost": -1}),
        (OpenRouterLLM, {"cost": 0.001, "is_byok": True}),
    ],
)
def test_where_the_provider_says_nothing_usable_tokens_are_counted_and_the_unknown_stays_unknown(kind, usage):
    meter = metered_call(kind, usage, **LISTED)
    assert (meter.cost, meter.cost_known) == (pytest.approx(0.003), True)
    unknown = metered_call(without_price(kind), usage)
    assert (unknown.cost, unknown.cost_known) == (0.0, False)


def test_several_answers_cost_what_all_their_calls_did():
    assert metered_call(OpenRouterLLM, {"cost": 0.01}, count=3).cost == pytest.approx(0.03)


def test_an_answer_that_cannot_be_read_was_charged_for_all_the_same():
    assert metered_call(OpenRouterLLM, {"cost": 0.01}, text=None).cost == pytest.approx(0.01)


def test_only_those_that_say_so_are_believed():
    assert {one.id for one in PRESETS.values() if one.cost_field} == {"openrouter", "xai"}
