import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.errors import ConfigError, ContextTooLong, MissingPackage, RequestRefused
from components.llms import LlamaCppLLM, OpenAILLM, llamacpp_engine
from components.llms.pricing import Price
from components.llms.structured import parse_json
from tests.components.llms.conftest import ask
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer
from tests.servers.llama_server import TINY_MODEL, llama_server

pytestmark = pytest.mark.engine
REVIEW = ask("Label this review: The hotel was awful and noisy.")
SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["positive", "negative"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["label", "stars"],
}


def tiny(**fields):
    return LlamaCppLLM(**{"model_path": str(TINY_MODEL), "n_ctx": 512, "n_threads": 1, "n_parallel": 2} | fields)


@pytest.fixture
def llm():
    loaded = tiny()
    loaded.load()
    yield loaded
    loaded.unload()


def test_it_answers_with_tokens_and_end(llm):
    output = llm.generate_outputs([REVIEW], temperature=0)[0]
    assert output["generations"] == ["negative"]
    assert output["finish_reasons"] == ["stop"]
    assert output["statistics"]["input_tokens"][0] > 5


def test_many_prompts_are_answered_in_order(llm):
    inputs = [REVIEW, ask("hello")] * 8
    outputs = [output["generations"][0] for output in llm.generate_outputs(inputs, temperature=0)]
    assert outputs == outputs[:2] * 8
    assert outputs[0] != outputs[1]


def test_several_answers_have_seeds_of_their_own_and_the_same_seed_repeats_them(llm):
    first, second = (llm.generate_outputs([REVIEW], 6, temperature=1.5, seed=11)[0]["generations"] for _ in range(2))
    assert first == second
    assert len(set(first)) > 1


def test_a_schema_is_enforced_word_by_word(llm):
    for text in ("The hotel was awful.", "hello", "What is the capital of France?"):
        output = llm.generate_outputs([(ask(text), {"schema": SCHEMA})], temperature=1.0, max_new_tokens=200)[0]
        value, repaired = parse_json(output["generations"][0], output["finish_reasons"][0], SCHEMA)
        assert value["label"] in ("positive", "negative") and not repaired


def test_a_cut_answer_says_so(llm):
    output = llm.generate_outputs([(REVIEW, {"schema": SCHEMA})], max_new_tokens=3)[0]
    assert output["finish_reasons"] == ["length"]


def test_log_probabilities_are_given(llm):
    output = llm.generate_outputs([REVIEW], temperature=0, logprobs=True, top_logprobs=3)[0]
    assert output["logprobs"][0][0][0]["token"] == "negative"
    assert len(output["logprobs"][0][0]) == 3


def test_a_bare_text_is_completed(llm):
    assert isinstance(llm.generate_outputs(["The film is"], max_new_tokens=8, temperature=0)[0]["generations"][0], str)


def test_a_row_that_is_too_long_fails_alone(llm):
    with pytest.raises(ContextTooLong, match="longer than the model can read"):
        llm.generate_outputs([ask("word " * 4_000)])
    assert llm.generate_outputs([REVIEW], temperature=0)[0]["generations"] == ["negative"]


def test_a_schema_that_is_none_is_refused(llm):
    with pytest.raises(RequestRefused, match="schema"):
        llm.generate_outputs([(REVIEW, {"schema": {"type": "object", "properties": {"a": {"type": "objekt"}}}})])


def test_it_runs_beside_an_event_loop(llm):
    async def four():
        return await asyncio.gather(*(llm.complete(REVIEW, temperature=0) for _ in range(4)))

    assert [output["generations"] for output in asyncio.run(four())] == [["negative"]] * 4


def test_models_of_one_file_share_an_engine_and_the_last_frees_it(llm):
    other = tiny()
    other.load()
    assert other._engine() is llm._engine()
    held = len(llamacpp_engine._engines)
    llm.unload()
    assert len(llamacpp_engine._engines) == held
    other.unload()
    assert len(llamacpp_engine._engines) == held - 1
    assert other.generate_outputs([REVIEW], temperature=0)[0]["generations"] == ["negative"]
    other.unload()


def test_loading_from_many_threads_at_once_loads_one_engine():
    models = [tiny(n_ctx=256) for _ in range(6)]
    threads = [threading.Thread(target=model.load) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model._engine()) for model in models}) == 1
    for model in models:
        model.unload()


def test_nothing_listens_on_the_network(llm):
    ours = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)}
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    listening = {f"socket:[{line.split()[9]}]" for line in lines if line.split()[3] == "0A"}
    assert not ours & listening


def _is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


CTRL_C = """
import os, signal, sys, threading
from components.llms import LlamaCppLLM
llm = LlamaCppLLM(model_path=sys.argv[1], n_ctx=256, n_threads=1)
loader = threading.Thread(target=llm.load)
loader.start()
loader.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted")
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()
"""


def test_ctrl_c_and_sigterm_stay_with_the_program():
    ended = subprocess.run([sys.executable, "-c", CTRL_C, str(TINY_MODEL)], capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["interrupted", "True"]
    assert ended.returncode == -15


def test_a_script_that_never_unloads_ends_by_itself():
    script = "import sys; from components.llms import LlamaCppLLM; LlamaCppLLM(model_path=sys.argv[1]).load()"
    ended = subprocess.run([sys.executable, "-c", script, str(TINY_MODEL)], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_model_from_the_hub_is_downloaded_and_loaded(monkeypatch, tmp_path):
    with HubServer() as hub:
        point_clients_at(monkeypatch, hub, tmp_path)
        hub.add("org/tiny", files={"tiny-f16.gguf": TINY_MODEL})
        llm = tiny(model_path=None, repo_id="org/tiny", filename="*f16.gguf")
        assert llm.generate_outputs([REVIEW], temperature=0)[0]["generations"] == ["negative"]
        llm.unload()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "give either model_path"),
        ({"model_path": "a.gguf", "repo_id": "org/tiny"}, "give either model_path"),
        ({"repo_id": "org/tiny"}, "say which file of org/tiny"),
        ({"model_path": "a.gguf", "n_ctx": 0}, "n_ctx"),
        ({"model_path": "a.gguf", "structured_output": {"format": "regex", "schema": "a"}}, "regex"),
    ],
)
def test_settings_that_cannot_be_are_told(fields, words):
    with pytest.raises(ConfigError, match=words):
        LlamaCppLLM(**fields)


def test_a_broken_file_is_told(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"x" * 1_000)
    with pytest.raises(ConfigError, match=r"cannot load .*broken.gguf. The file may be broken"):
        LlamaCppLLM(model_path=str(broken)).load()


def test_without_the_package_the_command_to_install_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingPackage, match=r'pip install "stillroom\[local\]"'):
        tiny(n_ctx=333).load()


def test_it_is_free_and_local():
    assert tiny().price == Price(0, 0)
    assert tiny().is_local
    assert tiny().model_name == TINY_MODEL.stem


def test_the_same_engine_over_http_gives_the_same_answer(llm):
    with llama_server() as server:
        remote = OpenAILLM(model="tiny", base_url=server.base_url)
        over_http = remote.generate_outputs([REVIEW, (REVIEW, {"schema": SCHEMA})], temperature=0, max_new_tokens=200)
    assert over_http[0]["generations"] == llm.generate_outputs([REVIEW], temperature=0)[0]["generations"]
    assert parse_json(over_http[1]["generations"][0], over_http[1]["finish_reasons"][0], SCHEMA)[0]["stars"] >= 1
