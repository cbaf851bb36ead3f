"""The known traps of the library whose API we keep, one by one: ours has none of them."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from components.errors import RequestRefused, UnknownComponent
from components.llms import OpenAILLM
from components.llms.llm import LLM, AsyncLLM
from components.pipeline import Pipeline
from components.pipeline.batch import refused_files
from components.pipeline.convert import convert
from components.pipeline.ledger import shared_ledger
from components.steps import LoadDataFromDicts, RuntimeParameter, StepInput, step
from components.steps.tasks import TextGeneration
from tests.fakes import EchoLLM
from tests.servers.batch.behavior import Fate
from tests.servers.batch.openai_batch_server import OpenAIBatchServer

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    yield
    shared_ledger().close()


def rows(count: int) -> list[dict[str, Any]]:
    return [{"instruction": f"q{n}"} for n in range(count)]


def generate(data: list[dict[str, Any]], llm: LLM, name: str = "traps", **task: Any) -> Pipeline:
    with Pipeline(name=name) as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        load >> TextGeneration(name="generate", llm=llm, **task)
    return pipeline


def answers(distiset) -> list[Any]:
    return distiset["default"]["train"]["generation"]


@pytest.mark.parametrize("module", ["llms", "pipeline", "steps", "steps.tasks", "llms.typing", "steps.tasks.typing"])
def test_0_1_every_public_module_imports_on_a_fresh_install(module):
    subprocess.run([sys.executable, "-c", f"import components.{module}"], check=True, cwd=ROOT)


def test_0_2_extra_keyword_arguments_of_a_custom_model_are_not_required():
    class Custom(AsyncLLM):
        @property
        def model_name(self) -> str:
            return "custom"

        async def agenerate(self, input: Any, num_generations: int = 1, **kwargs: Any) -> Any:
            return ["hello"] * num_generations

    assert answers(generate(rows(2), Custom()).run()) == ["hello", "hello"]


@pytest.mark.parametrize("name", ["get_last_hidden_state", "get_last_hidden_states"])
def test_0_3_hidden_states_are_found_under_either_name(name):
    class Custom(LLM):
        @property
        def model_name(self) -> str:
            return "custom"

        def generate(self, inputs: Any, num_generations: int = 1, **kwargs: Any) -> Any:
            return [["x"] for _ in inputs]

    setattr(Custom, name, lambda self, inputs: [[1.0, 2.0] for _ in inputs])
    assert Custom().get_last_hidden_states([[], []]) == [[1.0, 2.0], [1.0, 2.0]]


SCRIPT = """
import sys, time
from components.pipeline import Pipeline
from components.steps import LoadDataFromDicts
from components.steps.tasks import TextGeneration
from tests.fakes import EchoLLM
llm = EchoLLM().delayed_by(lambda _text: 0.02)
with Pipeline(name="interrupted") as pipeline:
    load = LoadDataFromDicts(name="load", data=[{"instruction": f"q{n}"} for n in range(100)], batch_size=BATCH)
    load >> TextGeneration(name="generate", llm=llm, input_batch_size=BATCH)
print("ready", flush=True)
distiset = pipeline.run(concurrency=4)
found = [answer for answer in distiset["default"]["train"]["generation"] if answer is not None]
print(distiset.state, len(found), sum(llm.calls.values()))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("batch", [1, 10, 50])
def test_0_6_a_run_that_was_interrupted_goes_on_and_does_not_hang(tmp_path, batch, ending):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("BATCH", str(batch)))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: committed() >= 10)
    first.send_signal(ending)
    first.wait(timeout=30)
    before = committed()
    assert 10 <= before < 100
    second = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    state, found, calls = second.stdout.splitlines()[-1].split()
    assert (state, int(found), int(calls)) == ("done", 100, 100 - before)


def committed() -> int:
    runs = shared_ledger().runs()
    return sum(step.ok for step in shared_ledger().steps(runs[0].id) if step.step == "generate") if runs else 0


def wait_until(fact) -> None:
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_0_7_one_bad_row_fails_alone_shows_why_and_is_tried_again_when_asked():
    trouble = lambda text, nth: RequestRefused("No.") if text == "q3" and nth == 1 else None  # noqa: E731
    llm = EchoLLM().troubled_by(trouble)
    pipeline = generate(rows(50), llm)
    distiset = pipeline.run()
    assert distiset.state == "done_with_failures"
    assert [answer for answer in answers(distiset) if answer is None] == [None]
    assert [(failure.row, failure.message) for failure in distiset.failures] == [("00000003", "No.")]
    again = pipeline.run()
    assert again.state == "done"
    assert answers(again) == [f"echo: q{n}" for n in range(50)]
    assert sum(llm.calls.values()) == 51


def test_0_8_a_result_whose_first_rows_are_empty_is_no_crash():
    llm = EchoLLM().troubled_by(lambda text, _n: RequestRefused("No.") if int(text[1:]) < 60 else None)
    distiset = generate(rows(120), llm).run()
    assert answers(distiset) == [None] * 60 + [f"echo: q{n}" for n in range(60, 120)]


def test_0_9_changed_data_is_noticed():
    llm = EchoLLM()
    generate(rows(3), llm).run()
    assert answers(generate([{"instruction": "other"}], llm).run()) == ["echo: other"]


def test_0_9b_an_interrupted_step_is_never_taken_for_a_finished_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("BATCH", "10"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: committed() >= 10)
    first.kill()
    first.wait()
    with Pipeline(name="interrupted") as pipeline:
        load = LoadDataFromDicts(name="load", data=rows(100))
        first_task = TextGeneration(name="generate", llm=EchoLLM())
        second_task = TextGeneration(
            name="second", llm=EchoLLM(), input_mappings={"instruction": "generation"},
            output_mappings={"generation": "verdict"},
        )  # fmt: skip
        load >> first_task >> second_task
    distiset = pipeline.run()
    assert distiset["default"]["train"]["verdict"] == [f"echo: echo: q{n}" for n in range(100)]


def test_0_9c_a_mixture_of_models_is_not_there_and_a_file_with_one_says_so_instead_of_asking():
    mixture = {"rounds": 1, "type_info": {"module": "distilabel.models.mixins", "name": "MixtureOfAgentsLLM"}}
    task = {"name": "t", "llm": mixture, "type_info": {"module": "distilabel.steps.tasks", "name": "TextGeneration"}}
    spec, notes = convert({"pipeline": {"name": "old", "steps": [{"name": "t", "step": task}]}})
    assert notes == ["Step 't': Stillroom has no component 'MixtureOfAgentsLLM'. Choose another one in its place."]
    with pytest.raises(UnknownComponent, match="MixtureOfAgentsLLM"):
        Pipeline.from_spec(spec)


def test_0_9d_runtime_parameters_of_a_step_function_hold_in_every_run():
    @step(inputs=["instruction"], outputs=["kay"])
    def with_kay(inputs: StepInput, kay: RuntimeParameter[int] = 1):
        yield [row | {"kay": kay} for row in inputs]

    with Pipeline(name="kay") as pipeline:
        load = LoadDataFromDicts(name="load", data=rows(2))
        load >> with_kay(name="with_kay")
    for use_cache in (True, True, False):
        distiset = pipeline.run(parameters={"with_kay": {"kay": 5}}, use_cache=use_cache)
        assert distiset["default"]["train"]["kay"] == [5, 5]


def test_0_9d_mapped_columns_stay_with_their_row_when_there_are_several_generations():
    with Pipeline(name="mapped") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"question": f"q{n}"} for n in range(3)])
        load >> TextGeneration(
            name="generate", llm=EchoLLM(), num_generations=2, input_mappings={"instruction": "question"}
        )
    made = pipeline.run()["default"]["train"]
    assert made["question"] == ["q0", "q0", "q1", "q1", "q2", "q2"]
    assert [answer.split(": ")[1] for answer in made["generation"]] == made["question"]


def test_0_9d_every_yield_of_a_step_counts():
    @step(inputs=["instruction"], outputs=["seen"])
    def one_by_one(inputs: StepInput):
        for row in inputs:
            yield [row | {"seen": True}]

    with Pipeline(name="yields") as pipeline:
        load = LoadDataFromDicts(name="load", data=rows(6))
        load >> one_by_one(name="one_by_one")
    assert len(pipeline.run()["default"]["train"]) == 6


def test_0_10_a_pipeline_runs_in_any_thread_and_a_model_inside_a_running_loop():
    found = []
    thread = threading.Thread(target=lambda: found.append(answers(generate(rows(2), EchoLLM()).run())))
    thread.start()
    thread.join()
    assert found == [["echo: q0", "echo: q1"]]

    async def inside() -> Any:
        llm = EchoLLM()
        llm.load()
        return llm.generate_outputs(inputs=[[{"role": "user", "content": "hi"}]])

    assert asyncio.run(inside())[0]["generations"] == ["echo: hi"]


def test_0_10_two_pipelines_built_in_two_threads_do_not_mix():
    pipelines, barrier = {}, threading.Barrier(2)

    def build(name: str) -> None:
        with Pipeline(name=name) as pipeline:
            barrier.wait()
            load = LoadDataFromDicts(name=f"load_{name}", data=rows(1))
            barrier.wait()
            load >> TextGeneration(name=f"generate_{name}", llm=EchoLLM())
        pipelines[name] = list(pipeline.graph.steps)

    threads = [threading.Thread(target=build, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipelines == {"a": ["load_a", "generate_a"], "b": ["load_b", "generate_b"]}


def test_0_11_a_row_is_not_paid_for_by_hashing_the_whole_pipeline(monkeypatch):
    from components.component import Component

    hashed = []
    signature = Component.signature
    monkeypatch.setattr(Component, "signature", lambda self: hashed.append(self) or signature(self))
    counts = []
    for count in (10, 300):
        hashed.clear()
        generate(rows(count), EchoLLM(), name=f"hash{count}").run()
        counts.append(len(hashed))
    assert counts[0] == counts[1]


def test_0_12_a_model_process_that_dies_fails_its_rows_and_the_run_ends():
    class Forked(LLM):
        @property
        def model_name(self) -> str:
            return "forked"

        def generate(self, inputs: Any, num_generations: int = 1, **kwargs: Any) -> Any:
            process = multiprocessing.get_context("spawn").Process(target=os.abort)
            process.start()
            process.join()
            if process.exitcode:
                raise RuntimeError(f"The model's process ended with {process.exitcode}.")
            return [["never"] for _ in inputs]

    distiset = generate(rows(2), Forked()).run()
    assert distiset.state == "done_with_failures"
    assert [failure.message for failure in distiset.failures] == [
        "The step had an error: RuntimeError: The model's process ended with -6."
    ] * 2


def overnight(data: list[dict[str, Any]], server: OpenAIBatchServer, name: str) -> Pipeline:
    llm = OpenAILLM(
        model="test",
        base_url=server.base_url,
        api_key="sk-test",
        use_offline_batch_generation=True,
        offline_batch_generation_block_until_done=1,
    )
    return generate(data, llm, name=name)


def test_0_4_a_row_in_the_error_file_of_a_batch_moves_no_answer():
    with OpenAIBatchServer(polls_until_done=1, rows={"row-1": Fate.BAD_REQUEST}) as server:
        data = [{"instruction": f"row-{n}"} for n in range(5)]
        distiset = overnight(data, server, "batch-errors").run()
    assert distiset["default"]["train"]["instruction"] == [f"row-{n}" for n in range(5)]
    assert answers(distiset) == ["echo: row-0", None, "echo: row-2", "echo: row-3", "echo: row-4"]
    assert [failure.row for failure in distiset.failures] == ["00000001"]


@pytest.mark.parametrize("final", ["expired", "cancelled", "failed"])
def test_0_5_a_batch_that_came_to_nothing_is_no_empty_result_and_is_not_taken_for_one_later(final, monkeypatch):
    monkeypatch.setattr(refused_files, "LATER_SECONDS", (0.0, 0.0))
    with OpenAIBatchServer(polls_until_done=1, final=final, done_when_stopped=0) as server:
        data = [{"instruction": f"row-{n}"} for n in range(3)]
        first = overnight(data, server, f"batch-{final}").run()
        assert first.state == "done_with_failures"
        assert answers(first) == [None, None, None]
        assert {failure.state for failure in first.failures} <= {"expired", "failed"}
        assert len(server.batches) == (3 if final == "failed" else 1), "it is made again at most twice"
        assert all(failure.message for failure in first.failures)
        server.batch.change(final="completed")
        shared_ledger().reopen(first.run_id)
        again = overnight(data, server, f"batch-{final}").run(use_cache=False)
    assert answers(again) == ["echo: row-0", "echo: row-1", "echo: row-2"]
