"""The Pipeline of a script."""

import asyncio
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from components.errors import (
    ConfigError,
    CredentialError,
    MissingColumn,
    RequestRefused,
    RunPaused,
    UnknownParameter,
)
from components.llms import LLM
from components.pipeline import Pipeline, routing_batch_function, sample_n_steps
from components.pipeline.ledger import ledger as ledger_module
from components.steps.building import pipeline_being_built
from components.steps.columns import CombineOutputs, KeepColumns
from components.steps.load import LoadDataFromDicts
from components.steps.step import GlobalStep
from components.steps.typing import StepInput, StepOutput
from tests.fakes import Ask, EchoLLM, Numbers, Review

ROWS = [{"instruction": "one"}, {"instruction": "two"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path))
    monkeypatch.setattr(ledger_module, "_opened", {})
    return tmp_path


def asking(**fields: Any) -> Pipeline:
    with Pipeline(**fields) as pipeline:
        Numbers(name="load", count=3) >> Ask(name="ask", llm=EchoLLM())
    return pipeline


def without_source() -> Pipeline:
    with Pipeline() as pipeline:
        Ask(name="ask", llm=EchoLLM())
    return pipeline


def test_steps_join_the_pipeline_they_are_made_in() -> None:
    with Pipeline() as pipeline:
        load = Numbers()
        asks = [Ask(llm=EchoLLM()) for _ in range(2)]
        assert load >> asks >> CombineOutputs() is not None
    assert list(pipeline.graph.steps) == ["numbers_0", "ask_0", "ask_1", "combine_outputs_0"]
    assert pipeline.graph.predecessors("combine_outputs_0") == ["ask_0", "ask_1"]


def test_nothing_is_added_after_the_block_or_after_an_error_in_it() -> None:
    with pytest.raises(RuntimeError), Pipeline() as broken:
        Numbers()
        raise RuntimeError
    assert pipeline_being_built.get() is None
    Numbers()
    assert list(broken.graph.steps) == ["numbers_0"]


def test_blocks_inside_blocks_are_apart() -> None:
    with Pipeline("outer") as outer:
        Numbers(name="a")
        with Pipeline("inner") as inner:
            Numbers(name="b")
            with outer:
                Numbers(name="c")
            Numbers(name="d")
        Numbers(name="e")
    assert list(outer.graph.steps) == ["a", "c", "e"]
    assert list(inner.graph.steps) == ["b", "d"]


def test_two_threads_build_two_pipelines_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    built: dict[str, list[str]] = {}

    def build(name: str) -> None:
        with Pipeline(name) as pipeline:
            for number in range(20):
                both.wait()
                Numbers(name=f"{name}_{number}")
        built[name] = list(pipeline.graph.steps)

    threads = [threading.Thread(target=build, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == {name: [f"{name}_{number}" for number in range(20)] for name in "ab"}


def test_two_tasks_of_one_loop_build_two_pipelines_at_once() -> None:
    async def build(name: str) -> list[str]:
        with Pipeline(name) as pipeline:
            for number in range(3):
                await asyncio.sleep(0)
                Numbers(name=f"{name}_{number}")
        return list(pipeline.graph.steps)

    async def both() -> list[list[str]]:
        return list(await asyncio.gather(build("a"), build("b")))

    assert asyncio.run(both()) == [["a_0", "a_1", "a_2"], ["b_0", "b_1", "b_2"]]


def test_a_pipeline_is_named_after_its_steps_unless_it_has_a_name() -> None:
    assert asking().name == "pipeline_load_ask"
    assert asking(name="mine").name == "mine"
    with Pipeline() as long:
        for _ in range(40):
            Numbers()
    assert len(long.name) == 100


def test_steps_of_elsewhere_are_not_connected() -> None:
    with Pipeline():
        stranger = Numbers(name="load")
    with Pipeline() as pipeline:
        ask = Ask(llm=EchoLLM())
        Numbers(name="load")
        with pytest.raises(ConfigError, match="Step 'load' is not in this pipeline"):
            pipeline.connect(stranger, [ask])
    loose = Numbers(name="loose")
    with pytest.raises(ConfigError, match="Step 'loose' is in no pipeline"):
        loose >> ask
    pipeline.add_step(loose)
    assert (loose >> ask) is ask


def test_a_run_gives_the_rows_of_the_last_step(home: Path) -> None:
    distiset = asking(name="asks").run()
    assert distiset["default"]["train"]["generation"] == ["echo: q0", "echo: q1", "echo: q2"]


def test_a_run_works_in_any_thread_and_inside_a_loop(home: Path) -> None:
    async def inside() -> Any:
        return asking(name="inside").run()

    assert asyncio.run(inside())["default"]["train"].num_rows == 3
    rows: list[int] = []
    thread = threading.Thread(target=lambda: rows.append(asking(name="thread").run()["default"]["train"].num_rows))
    thread.start()
    thread.join()
    assert rows == [3]


def test_a_dry_run_takes_the_first_rows(home: Path) -> None:
    assert asking().dry_run(batch_size=2)["default"]["train"].num_rows == 2


def test_rows_are_given_to_the_first_steps(home: Path) -> None:
    import datasets
    import pandas

    for dataset in (ROWS, pandas.DataFrame(ROWS), datasets.Dataset.from_list(ROWS)):
        distiset = without_source().run(dataset=dataset)
        assert distiset["default"]["train"]["generation"] == ["echo: one", "echo: two"]


def test_rows_are_not_given_to_a_pipeline_with_a_source() -> None:
    with pytest.raises(ConfigError, match="has a source already: 'load'"):
        asking().graph_for({}, ROWS)


def test_rows_without_the_needed_column_are_refused() -> None:
    with pytest.raises(MissingColumn, match=r"needs the column 'instruction'.* It gets: text\."):
        without_source().graph_for({}, [{"text": "x"}])


@pytest.mark.parametrize("options", [{"cap": float("nan")}, {"cap": float("inf")}, {"concurrency": 0}])
def test_a_cap_that_is_no_amount_and_no_calls_at_all_are_refused(home: Path, options: Any) -> None:
    with pytest.raises(ConfigError, match=r"amount in US dollars|at least one call"):
        asking().run(use_cache=False, **options)


def test_options_are_checked_also_when_an_interrupted_run_is_gone_on_with(home: Path) -> None:
    class Unpriced(EchoLLM):
        async def agenerate(self, input: Any, num_generations: int = 1, temperature: float = 1.0) -> Any:
            raise CredentialError("No.")

    def pipeline() -> Pipeline:
        with Pipeline(name="interrupted") as made:
            Numbers(name="rows", count=4) >> Ask(name="ask", llm=Unpriced())
        return made

    with pytest.raises(RunPaused):
        pipeline().run()
    with pytest.raises(ConfigError, match="price of echo is unknown"):
        pipeline().run(cap=1.0)
    with pytest.raises(ConfigError, match="at least one call"):
        pipeline().run(concurrency=0)


@pytest.mark.parametrize("size", [0, -3])
def test_a_dry_run_of_no_rows_is_refused(home: Path, size: int) -> None:
    with pytest.raises(ConfigError, match="at least one row"):
        asking().dry_run(batch_size=size)


def test_parameters_are_set_on_copies_and_coerced() -> None:
    pipeline = asking()
    given = {
        "ask": {"num_generations": "2", "llm": {"generation_kwargs": {"temperature": "0.3"}}},
        "load": {"batch_size": 7},
    }
    graph = pipeline.graph_for(given)
    ask: Any = graph.steps["ask"]
    assert (ask.num_generations, ask.llm.generation_kwargs) == (2, {"temperature": 0.3})
    before: Any = pipeline.graph.steps["ask"]
    assert (before.num_generations, before.llm.generation_kwargs) == (1, {})
    assert graph.edges == pipeline.graph.edges


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"aks": {}}, "There is no step 'aks' to set. Did you mean 'ask'?"),
        ({"ask": {"num_generation": 2}}, "has no runtime parameter 'num_generation'. Did you mean 'num_generations'?"),
        (
            {"ask": {"llm": {"generation_kwargs": {"temprature": 1}}}},
            "no generation parameter 'temprature'. Did you mean",
        ),
        ({"ask": {"num_generations": "many"}}, "'num_generations'"),
        ({"ask": {"num_generations": 0}}, "'num_generations'"),
        ({"ask": {"llm": 3}}, "'llm' takes a group of parameters"),
        ({"ask": 3}, "takes a group of parameters"),
        ([("ask", {})], "are a group for each step by name"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_starts(home: Path, parameters: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        asking().run(parameters)
    assert sentence in str(error.value)
    assert not list(home.iterdir())


def test_unknown_parameters_have_their_own_class() -> None:
    for parameters in ({"aks": {}}, {"ask": {"x": 1}}):
        with pytest.raises(UnknownParameter):
            asking().graph_for(parameters)


def test_everything_wrong_is_said_before_a_run(home: Path) -> None:
    with Pipeline() as pipeline:
        Numbers(name="load") >> Review(name="review", llm=EchoLLM()) >> KeepColumns(name="keep", columns=["verdikt"])
        Ask(name="alone", llm=EchoLLM())
    with pytest.raises(MissingColumn) as error:
        pipeline.run()
    assert [line.split("'")[1] for line in str(error.value).splitlines()] == ["review", "keep", "alone"]


def test_handlers_of_the_caller_get_the_log(home: Path) -> None:
    class Ear(logging.Handler):
        heard: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.heard.append(record.getMessage())

    def trouble(text: str, call: int) -> Exception | None:
        return RequestRefused("No.") if text == "q1" else None

    ear = Ear()
    with Pipeline("old", "d", enable_metadata=False, requirements=["numpy"]) as pipeline:
        Numbers(name="load", count=3) >> Ask(name="ask", llm=EchoLLM().troubled_by(trouble))
    pipeline.run(parameters={}, use_cache=False, logging_handlers=[ear])
    assert any("1 rows have no result" in line for line in ear.heard)
    assert ear not in logging.getLogger("stillroom").handlers


def test_runtime_parameters_are_told_by_step() -> None:
    info = asking().get_runtime_parameters_info()
    assert list(info) == ["load", "ask"]
    llm = next(row for row in info["ask"] if row["name"] == "llm")
    assert llm["runtime_parameters_info"][0]["keys"][0]["name"] == "temperature"


class Sorted(GlobalStep):
    """Needs all rows."""

    def process(self, inputs: StepInput) -> StepOutput:
        yield inputs


def test_a_step_that_needs_all_rows_begins_a_stage() -> None:
    with Pipeline() as pipeline:
        (
            Numbers(name="load")
            >> Ask(name="ask", llm=EchoLLM())
            >> Sorted(name="sort")
            >> Review(name="review", llm=EchoLLM())
        )
    stages, last_steps = pipeline.get_load_stages()
    assert stages == [["load", "ask"], ["sort"], ["review"]]
    assert last_steps == [["ask"], ["sort"], ["review"]]
    assert Pipeline().get_load_stages() == ([], [])


def test_the_signature_is_of_what_can_change_the_results() -> None:
    assert asking().signature == asking(name="other").signature
    with Pipeline() as changed:
        Numbers(name="load", count=4) >> Ask(name="ask", llm=EchoLLM())
    assert changed.signature != asking().signature


@pytest.mark.usefixtures("known_fakes")
def test_pipelines_are_saved_and_read_back_equal(tmp_path: Path) -> None:
    pipeline = asking(name="saved", description="Asks.")
    for name, read in (("p.yaml", Pipeline.from_yaml), ("p.json", Pipeline.from_json), ("p.yml", Pipeline.from_file)):
        pipeline.save(tmp_path / name)
        again = read(tmp_path / name)
        assert again.dump() == pipeline.dump()
        assert again.signature == pipeline.signature
    assert Pipeline.from_dict(pipeline.dump()).dump() == pipeline.dump()
    pipeline.save(tmp_path / "odd.txt", format="json")
    assert Pipeline.from_json(tmp_path / "odd.txt").dump() == pipeline.dump()


@pytest.mark.usefixtures("known_fakes")
def test_a_pipeline_from_a_file_can_be_built_on(home: Path) -> None:
    pipeline = Pipeline.from_dict(asking(name="more").dump())
    with pipeline:
        pipeline.graph.steps["ask"] >> Review(llm=EchoLLM())
    assert pipeline.run()["default"]["train"]["verdict"][0] == "echo: echo: q0"


def test_a_pipeline_with_code_in_it_is_not_saved(tmp_path: Path) -> None:
    @routing_batch_function
    def mine(steps: list[str]) -> list[str]:
        return steps[:1]

    with Pipeline() as pipeline:
        Numbers(name="load") >> mine >> [Ask(name="ask", llm=EchoLLM())]
    with pytest.raises(ConfigError, match="could not be saved: the routing function 'mine' after step 'load' is code"):
        pipeline.save(tmp_path / "p.yaml")
    assert not list(tmp_path.iterdir())


def test_rows_of_a_script_are_saved_with_it(tmp_path: Path) -> None:
    with Pipeline() as pipeline:
        LoadDataFromDicts(name="load", data=ROWS) >> KeepColumns(name="keep", columns=["instruction"])
    pipeline.save(tmp_path / "p.yaml")
    again = Pipeline.from_file(tmp_path / "p.yaml")
    assert again.graph.steps["load"].dump()["data"] == ROWS


def test_pictures_are_drawn_here_and_hold_names_only_as_text(tmp_path: Path) -> None:
    with Pipeline() as pipeline:
        (
            LoadDataFromDicts(name="load", data=[{'<script>alert("x")</script>': 1, "instruction": 2}])
            >> sample_n_steps(1)
            >> [
                Ask(name="a", llm=EchoLLM()),
                Ask(name="b", llm=EchoLLM()),
            ]
        )
    for ending in ("svg", "mmd", "md", "txt"):
        for top_to_bottom in (False, True):
            path = pipeline.draw(tmp_path / f"p.{ending}", top_to_bottom=top_to_bottom)
            text = path.read_text()
            assert "<script>" not in text and "LoadDataFromDicts" in text
    svg = pipeline.draw(tmp_path / "p.svg").read_text()
    assert svg.count("<rect") == 4 and svg.count("<path") == 2
    assert "instruction" not in pipeline.draw(tmp_path / "p.mmd", show_edge_labels=False).read_text()
    with pytest.raises(ConfigError, match=r"drawn as \.svg or \.mmd, not '\.png'"):
        pipeline.draw(tmp_path / "p.png")


def test_making_a_pipeline_does_not_bring_the_database() -> None:
    heavy = ["sqlalchemy", "datasets", "pyarrow"]
    script = f"import sys; import components.pipeline; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.stdout.strip() == "[]", done.stderr
    from components.pipeline import Distiset

    assert Distiset.__name__ == "Distiset"
    with pytest.raises(ImportError):
        from components.pipeline import Nothing  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("start", [Pipeline.run, Pipeline.dry_run])
def test_a_file_cannot_send_a_key_of_the_environment_to_an_address_of_its_own(
    start: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    llm = {"use": "OpenAILLM", "model": "m", "base_url": "https://llm.example.org/v1"}
    steps = [{"use": "TextGeneration", "name": "ask", "llm": llm}]
    pipeline = Pipeline.from_dict({"stillroom": 1, "pipeline": {"steps": steps, "connections": []}})
    with pytest.raises(RunPaused, match="OPENAI_API_KEY is not sent to llm.example.org") as error:
        start(pipeline, dataset=[{"instruction": "one"}])
    assert "canary" not in str(error.value)


def test_two_pipelines_run_at_the_same_time(home: Path) -> None:
    both_are_at_work = threading.Barrier(2, timeout=60)

    class Meeting(LLM):
        @property
        def model_name(self) -> str:
            return "meeting"

        def generate(self, inputs: Any, num_generations: int = 1, **kwargs: Any) -> Any:
            both_are_at_work.wait()
            return [["met"] for _ in inputs]

    def run(name: str) -> None:
        with Pipeline(name=name) as pipeline:
            Numbers(name="load", count=1) >> Ask(name="ask", llm=Meeting())
        states[name] = pipeline.run().state

    states: dict[str, str] = {}
    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == {"one": "done", "other": "done"}
