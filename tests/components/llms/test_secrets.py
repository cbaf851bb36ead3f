"""A canary key goes through everything that a model does; it may be seen by the server and by nobody else."""

import asyncio
import io
import logging
import pickle
import traceback

import pytest

from components.errors import StillroomError
from components.llms import AnthropicLLM, GeminiLLM, InferenceEndpointsLLM, OpenAILLM
from components.llms.discovery import list_models, probe
from tests.components.llms.conftest import KEY, ask
from tests.servers.faults import Fault, Faults

KINDS = [
    (OpenAILLM, {"model": "m"}),
    (AnthropicLLM, {"model": "m"}),
    (GeminiLLM, {"model": "m"}),
    (InferenceEndpointsLLM, {"model_id": "m"}),
]


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(("kind", "fields"), KINDS)
def test_a_key_is_in_no_form_of_a_model(kind, fields, server):
    llm = kind(**fields, base_url=server.base_url, api_key=KEY)
    llm.load()
    shown = [repr(llm), str(llm), repr(llm.__dict__), str(llm.dump()), llm.model_dump_json(), llm.account]
    shown += [repr(llm.endpoint), llm.signature(), str(llm.get_runtime_parameters_info()), repr(llm.habits)]
    assert KEY in str(dict(llm.endpoint.headers.items()).values())
    assert KEY not in "".join(shown)
    assert not any(KEY[3:12] in text for text in shown)


@pytest.mark.parametrize("fault", [*Fault])
def test_a_key_is_in_no_error_and_no_log(fault, server, log, capfd):
    if fault is Fault.SLOW:
        server.behavior.slow_s = 0.01
    server.behavior.faults = Faults(rows={"row-1": fault})
    llm = OpenAILLM(model="gpt-4o-mini", base_url=server.base_url, api_key=KEY, timeout=0.2)
    llm.load()
    said = ""
    try:
        asyncio.run(llm.agenerate(ask()))
    except StillroomError as error:
        said = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        said += repr(pickle.dumps(error.args))
    assert server.requests[0].key == KEY
    printed = capfd.readouterr()
    assert KEY not in said + log.getvalue() + printed.out + printed.err


def test_a_key_that_the_server_repeats_is_not_passed_on(server, log):
    server.behavior.keys = ["another"]
    llm = OpenAILLM(model="m", base_url=server.base_url, api_key=KEY)
    with pytest.raises(StillroomError) as caught:
        llm.generate_outputs([ask()])
    assert "[key]" in str(caught.value)
    assert KEY[:8] not in str(caught.value) + log.getvalue()
    assert KEY[-4:] not in str(caught.value)


def test_a_key_is_in_no_probe_and_no_list(server):
    server.behavior.keys = ["another"]
    found = asyncio.run(probe(OpenAILLM(model="m", base_url=server.base_url, api_key=KEY)))
    assert KEY[:8] not in repr(found)
    with pytest.raises(StillroomError) as caught:
        asyncio.run(list_models(server.base_url, KEY))
    assert KEY[:8] not in str(caught.value)
