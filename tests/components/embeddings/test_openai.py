"""Vectors, asked for online."""

import asyncio
import json
import math

import pytest

from components.embeddings import OpenAIEmbeddings
from components.errors import (
    CapReached,
    ConfigError,
    ContextTooLong,
    CredentialError,
    ReplyError,
    RequestRefused,
    UnknownModel,
)
from components.llms.budget import Budget
from components.llms.gate import Gate, RetryPolicy, through
from components.llms.meter import metered
from components.llms.pricing import Price
from tests.servers import answers
from tests.servers.faults import Fault, Faults
from tests.servers.llama_server import llama_server
from tests.servers.refusals import Refusal, context_too_long, unsupported_parameter


def model(server, **fields):
    fields = {"model": "text-embedding-3-small", "base_url": server.base_url} | fields
    embeddings = OpenAIEmbeddings(**fields)
    embeddings.load()
    return embeddings


def texts(count):
    return [f"row-{number} hello" for number in range(count)]


def expected(inputs, dimensions=16):
    return [answers.embedding(json.dumps(text), dimensions) for text in inputs]


def inputs_of(request):
    given = request.body["input"]
    return [given] if isinstance(given, str) else given


def test_each_text_has_its_vector_whatever_the_order_of_the_reply(server):
    server.behavior.embed = lambda body: {**(whole := answers.embeddings(body)), "data": whole["data"][::-1]}
    assert model(server).encode(texts(10)) == expected(texts(10))


def test_several_texts_share_a_request_and_long_ones_do_not_crowd_it(server):
    assert model(server).encode(texts(150)) == expected(texts(150))
    assert sorted(len(inputs_of(request)) for request in server.requests) == [22, 64, 64]
    before = len(server.requests)
    long = ["a" * 330_000, "b" * 330_000, "c"]
    assert model(server).encode(long) == expected(long)
    assert sorted(len(inputs_of(request)) for request in server.requests[before:]) == [1, 2]


def test_one_text_is_sent_alone_and_only_what_was_set(server):
    model(server).encode(["hello"])
    model(server, dimensions=8).encode(["hello"])
    assert [request.body for request in server.requests] == [
        {"model": "text-embedding-3-small", "input": "hello"},
        {"model": "text-embedding-3-small", "input": "hello", "dimensions": 8},
    ]


def test_nothing_asked_is_nothing_sent(server):
    assert model(server).encode([]) == []
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "sentence"), [("hello", "one text. Give a list"), (["a", 3], "Input 2 is int, not text.")]
)
def test_what_is_no_list_of_texts_is_said_so(server, given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        model(server).encode(given)
    assert server.requests == []


def broken(change):
    def embed(body):
        whole = answers.embeddings(body)
        change(whole["data"])
        return whole

    return embed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data.pop(), "gave 2 vectors for 3 inputs"),
        (lambda data: data.append(dict(data[0])), "gave 4 vectors for 3 inputs"),
        (lambda data: data[1].pop("index"), "index None"),
        (lambda data: data[1].update(index=3), "index 3, which is that of no input"),
        (lambda data: data[1].update(index=True), "index True"),
        (lambda data: data[1].update(index=0), "two vectors with the index 0"),
        (lambda data: data[1].update(embedding=[[0.5], [0.5]]), "no vector of numbers"),
        (lambda data: data[1].update(embedding=[0.5, None]), "no vector of numbers"),
        (lambda data: data[1].update(embedding=[]), "no vector of numbers"),
        (lambda data: data.__setitem__(1, "text"), "index None"),
    ],
)
def test_a_reply_without_one_vector_for_each_text_is_an_error(server, change, sentence):
    server.behavior.embed = broken(change)
    with pytest.raises(ReplyError, match=sentence):
        model(server).encode(texts(3))


def test_a_reply_that_is_no_list_is_an_error(server):
    server.behavior.embed = lambda body: {"data": None}
    with pytest.raises(ReplyError, match="no list of vectors for 3 inputs"):
        model(server).encode(texts(3))


def test_a_server_that_takes_one_text_at_a_time_is_given_one_at_a_time(server):
    def one_only(body):
        is_one = isinstance(body["input"], str)
        return answers.embeddings(body) if is_one else Refusal(400, "'input' must be a string.", param="input")

    server.behavior.embed = one_only
    embeddings = model(server)
    assert embeddings.encode(texts(5)) == expected(texts(5))
    before = len(server.requests)
    assert embeddings.encode(texts(5)) == expected(texts(5))
    assert len(server.requests) - before == 5


def test_the_text_that_is_refused_is_named(server):
    def embed(body):
        too_long = any("row-3" in text for text in body["input"]) if isinstance(body["input"], list) else False
        return context_too_long(10, 12) if too_long or "row-3" in body["input"] else answers.embeddings(body)

    server.behavior.embed = embed
    with pytest.raises(ContextTooLong, match=r"^Input 4: This row is longer"):
        model(server).encode(texts(8))


def test_a_refusal_of_something_else_is_not_blamed_on_a_text(server):
    server.behavior.embed = lambda body: unsupported_parameter("dimensions")
    with pytest.raises(RequestRefused, match="dimensions") as refused:
        model(server, dimensions=3).encode(texts(8))
    assert not str(refused.value).startswith("Input")
    assert len(server.requests) == 1


def test_half_of_a_character_is_the_fault_of_its_text(server):
    with pytest.raises(RequestRefused, match=r"^Input 2: .*half of a character"):
        model(server).encode(["fine", "bad \ud800"])


def test_what_fails_for_a_moment_is_tried_again(server):
    server.behavior.faults = Faults(script=[Fault.SERVER_ERROR, Fault.RATE_LIMIT_MS])
    embeddings = model(server)

    async def work():
        with through(Gate(policy=RetryPolicy(transient_base=0.001))):
            return await embeddings.aencode(texts(2))

    assert asyncio.run(work()) == expected(texts(2))
    assert [request.status for request in server.requests] == [500, 429, 200]


def test_a_key_that_is_refused_and_a_model_that_is_unknown_are_told_as_ever(server):
    server.behavior.keys = ["sk-right"]
    with pytest.raises(CredentialError):
        model(server, api_key="sk-wrong").encode(["a"])
    server.behavior.models = ["another"]
    with pytest.raises(UnknownModel):
        model(server, api_key="sk-right").encode(texts(4))
    assert len(server.requests) == 2


def test_tokens_and_cost_are_counted(server):
    embeddings = model(server, input_price=2.0)

    async def work():
        with through(Gate()), metered() as meter:
            await embeddings.aencode(texts(3))
            return meter

    meter = asyncio.run(work())
    read = sum(len(answers.tokens(text)) for text in texts(3))
    assert (meter.input_tokens, meter.output_tokens) == (read, 0)
    assert meter.cost == pytest.approx(read * 2 / 1_000_000) and meter.cost_known


def test_the_spending_cap_holds_before_anything_is_sent(server):
    embeddings = model(server, input_price=1_000_000.0)

    async def work():
        with through(Gate(budget=Budget(cap=0.5))):
            await embeddings.aencode(["hello"])

    with pytest.raises(CapReached):
        asyncio.run(work())
    assert server.requests == []


def test_the_price_is_the_lists_or_ones_own(server):
    assert model(server).price == Price(0, 0)
    assert OpenAIEmbeddings(model="text-embedding-3-small", api_key="sk-1").price == Price(0.02, 0.0)
    assert OpenAIEmbeddings(model="text-embedding-3-small", api_key="sk-1", input_price=3).price == Price(3, 0)


def test_mistral_has_a_word_of_its_own_for_dimensions():
    embeddings = OpenAIEmbeddings(
        model="codestral-embed", base_url="https://api.mistral.ai/v1", api_key="sk-1", dimensions=256
    )
    [(path, body)] = embeddings.batch_requests("hello", 1, {})
    assert (path, body) == ("/embeddings", {"model": "codestral-embed", "input": "hello", "output_dimension": 256})


def test_a_missing_key_is_told_when_loading():
    with pytest.raises(CredentialError, match="OPENAI_API_KEY"):
        OpenAIEmbeddings(model="text-embedding-3-small").load()


def test_only_what_changes_the_vectors_is_part_of_the_identity():
    same = [
        OpenAIEmbeddings(model="m"),
        OpenAIEmbeddings(model="m", base_url="http://localhost:1/v1", timeout=3, use_offline_batch_generation=True),
    ]
    assert len({one.signature() for one in same}) == 1
    assert OpenAIEmbeddings(model="m", dimensions=3).signature() != same[0].signature()


@pytest.mark.engine
def test_a_real_engine_gives_each_text_its_own_vector():
    inputs = ["a hotel by the sea", "a bank", "the quick brown fox"]
    with llama_server(embed=True) as server:
        embeddings = model(server, model="tiny")
        together = embeddings.encode(inputs)
        alone = [embeddings.encode([text])[0] for text in inputs]
        with pytest.raises(ContextTooLong, match=r"^Input 2: "):
            embeddings.encode(["a hotel", "hotel " * 3000])
    assert [len(vector) for vector in together] == [128] * 3
    # What is computed beside a text moves its numbers a little in this engine, but never past another text's.
    for number, vector in enumerate(together):
        assert min(range(3), key=lambda other, vector=vector: math.dist(vector, alone[other])) == number
