"""Everything that is wrong with a pipeline, found at once."""

from typing import Any

import pytest

from components import catalog
from components.component import RuntimeParameter
from components.errors import ConfigError, DataFileError, MissingColumn, UnknownComponent
from components.llms.llm import LLM
from components.pipeline import Pipeline, sample_n_steps
from components.pipeline.checks import check
from components.pipeline.graph import MOST_STEPS
from components.pipeline.problem import Problem, raise_errors
from components.pipeline.spec import PipelineSpec
from components.steps.columns import CombineOutputs, ExpandColumns, GroupColumns, KeepColumns
from components.steps.load import LoadDataFromDicts, LoadDataFromFileSystem
from components.steps.step import Step
from components.steps.typing import StepInput, StepOutput
from tests.fakes import Ask, EchoLLM, Numbers, Review

pytestmark = pytest.mark.usefixtures("known_fakes")
ASK = {"use": "Ask", "llm": {"use": "EchoLLM"}}


def spec_of(*steps: dict[str, Any], edges: str = "", **more: Any) -> PipelineSpec:
    connections = [{"from": up, "to": [down]} for up, down in (edge.split(">") for edge in edges.split())]
    return PipelineSpec(steps=list(steps), connections=connections, **more)


def said(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.step, problem.field) for problem in problems]


class Rename(Step):
    """Makes one column of another."""

    takes: str = "instruction"
    """The column it reads."""
    makes: str = "text"
    """The column it makes."""

    @property
    def inputs(self) -> list[str]:
        return [self.takes]

    @property
    def outputs(self) -> list[str]:
        return [self.makes]

    def process(self, inputs: StepInput) -> StepOutput:
        yield [{**row, self.makes: row[self.takes]} for row in inputs]


def line(*steps: Step, source: Any = None) -> Pipeline:
    pipeline = Pipeline()
    previous = source or Numbers(name="load")
    pipeline.add_step(previous)
    for step in steps:
        pipeline.add_step(step)
        previous.connect(step)
        previous = step
    return pipeline


def test_a_good_pipeline_has_no_problems() -> None:
    pipeline = line(Ask(llm=EchoLLM()), Review(llm=EchoLLM()), KeepColumns(columns=["verdict"]))
    assert check(pipeline.graph) == []
    assert check(pipeline.spec) == []


def test_everything_is_said_at_once_and_in_order() -> None:
    spec = spec_of(
        {"use": "Numbers", "name": "load", "count": "many"},
        {"use": "Ask", "name": "ask", "num_generations": 0},
        {"use": "Reviews", "name": "review"},
        {"use": "KeepColumns", "name": "keep", "columns": ["a"], "colums": []},
        edges="load>ask ask>review review>keep ask>gone",
    )
    assert said(check(spec)) == [
        ("", "connections"),
        ("load", "count"),
        ("ask", "llm"),
        ("ask", "num_generations"),
        ("review", "use"),
        ("keep", "colums"),
    ]


def test_a_problem_has_the_sentence_that_the_component_itself_says() -> None:
    spec = spec_of({"use": "Numbers", "name": "load", "count": "many"})
    with pytest.raises(ConfigError) as error:
        catalog.build(spec.steps[0], "Step 'load'")
    assert [problem.message for problem in check(spec)] == [str(error.value)]


def test_fields_of_parts_are_named_by_their_path() -> None:
    spec = spec_of(
        {"use": "Numbers", "name": "load"}, ASK | {"name": "a", "llm": {"use": "EchoLLM", "modell": 1}}, edges="load>a"
    )
    (problem,) = check(spec)
    assert problem.field == "llm.modell"
    assert problem.message == "EchoLLM of step 'a' has no field 'modell'. Did you mean 'model'?"


def test_an_empty_pipeline_says_how_to_begin() -> None:
    (problem,) = check(PipelineSpec())
    assert problem.message == "The pipeline has no steps yet. Add a source of rows, then the steps that use them."


def test_a_step_needs_one_before_it() -> None:
    (problem,) = check(spec_of(ASK))
    assert problem.message.startswith("Step 'ask_0' needs a step before it. Connect one, or begin with a source")
    assert check(spec_of(ASK), has_dataset=True) == []


def test_two_steps_cannot_have_one_name() -> None:
    (problem, *_) = check(spec_of({"use": "Numbers", "name": "a"}, ASK | {"name": "a"}))
    assert problem.message == "Two steps are called 'a'. Give one of them another name."


def test_loops_are_named() -> None:
    spec = spec_of(
        {"use": "Numbers", "name": "load"}, *(ASK | {"name": name} for name in "abc"), edges="load>a a>b b>c c>b"
    )
    assert any("form a loop" in problem.message and "b -> " in problem.message for problem in check(spec))
    assert any(
        "cannot be connected to itself" in problem.message for problem in check(spec_of(ASK, edges="ask_0>ask_0"))
    )


def test_connections_to_nowhere_twice_and_into_sources() -> None:
    steps = ({"use": "Numbers", "name": "load"}, ASK | {"name": "ask"})
    assert (
        "names the step 'ak', which is not there. Did you mean 'ask'?"
        in check(spec_of(*steps, edges="load>ak"))[0].message
    )
    assert "connected to 'ask' twice" in check(spec_of(*steps, edges="load>ask load>ask"))[0].message
    assert "is a source and makes its own rows" in check(spec_of(*steps, edges="ask>load"))[0].message


def test_a_source_of_nothing_is_only_a_warning() -> None:
    problems = check(
        spec_of({"use": "Numbers", "name": "load"}, {"use": "Numbers", "name": "other"}, ASK, edges="load>ask_0")
    )
    assert [(problem.step, problem.severity) for problem in problems] == [("other", "warning")]
    raise_errors(problems)


def test_a_step_for_one_branch_says_what_joins_two() -> None:
    pipeline = line(Ask(name="one", llm=EchoLLM()))
    with pipeline:
        two, last = Ask(name="two", llm=EchoLLM()), Review(name="last", llm=EchoLLM())
        pipeline.graph.steps["load"] >> two
        [pipeline.graph.steps["one"], two] >> last
    (problem,) = check(pipeline.graph)
    assert problem.message.startswith("Step 'last' takes the rows of one step, but 'one' and 'two' come before it.")


def test_too_many_steps_are_one_problem() -> None:
    spec = PipelineSpec(steps=[dict(ASK) for _ in range(MOST_STEPS + 9_000)])
    (problem,) = check(spec)
    assert problem.message == "The pipeline has 10,000 steps; 1,000 are the most."


def test_too_many_connections_are_one_problem() -> None:
    (problem,) = check(PipelineSpec(steps=[ASK], connections=[{"from": "ask_0", "to": ["ask_0"] * 200_000}]))
    assert problem.message == "The pipeline has 200,000 connections; 5,000 are the most."


def test_a_missing_column_suggests_the_closest_and_lists_what_is_there() -> None:
    pipeline = line(Rename(name="rename", takes="instructions"))
    (problem,) = check(pipeline.graph)
    assert problem == Problem(
        "rename",
        "input_mappings",
        "Step 'rename' needs the column 'instructions', which no step before it makes. Did you mean 'instruction'? "
        "It gets: instruction, n.",
    )
    with pytest.raises(MissingColumn):
        raise_errors(check(pipeline.graph))


def test_mappings_are_followed() -> None:
    good = line(
        Rename(name="a", output_mappings={"text": "body"}),
        Rename(name="b", takes="question", input_mappings={"question": "body"}),
    )
    assert check(good.graph) == []
    bad = line(Rename(name="a", output_mappings={"text": "body"}), Rename(name="b", takes="text"))
    assert said(check(bad.graph)) == [("b", "input_mappings")]


def test_mappings_of_columns_that_a_step_does_not_have() -> None:
    pipeline = line(
        Rename(name="a", input_mappings={"instrction": "n"}),
        Rename(name="b", output_mappings={"txt": "body"}),
    )
    problems = check(pipeline.graph)
    assert said(problems) == [("a", "input_mappings"), ("b", "output_mappings")]
    assert "has no input column 'instrction' to map. Did you mean 'instruction'?" in problems[0].message


def test_dropped_and_renamed_columns_are_gone() -> None:
    dropped = line(KeepColumns(columns=["n"]), Ask(name="ask", llm=EchoLLM()))
    assert said(check(dropped.graph)) == [("ask", "input_mappings")]
    expanded = line(ExpandColumns(columns={"instruction": "part"}), Ask(name="ask", llm=EchoLLM()))
    assert said(check(expanded.graph)) == [("ask", "input_mappings")]


def test_columns_of_a_template_are_followed_like_others() -> None:
    task = {"use": "TextGeneration", "name": "write", "llm": {"use": "EchoLLM"}, "template": "Say {{ instrction }}"}
    (problem,) = check(spec_of({"use": "Numbers", "name": "load"}, task, edges="load>write"))
    assert "Step 'write' needs the column 'instrction'" in problem.message
    assert "Did you mean 'instruction'?" in problem.message


def fan(join: Step, **makes: str) -> Pipeline:
    with Pipeline() as pipeline:
        load = Numbers(name="load")
        branches = [Rename(name=name, makes=column) for name, column in makes.items()]
        pipeline.add_step(join)
        load >> branches >> join
    return pipeline


def test_columns_of_all_branches_come_together() -> None:
    pipeline = fan(CombineOutputs(name="join"), one="a", two="b")
    with pipeline:
        pipeline.graph.steps["join"] >> KeepColumns(name="keep", columns=["a", "b", "c"])
    (problem,) = check(pipeline.graph)
    assert problem.message.startswith("Step 'keep' needs the column 'c'")
    assert "instruction, n, a, b" in problem.message


def test_a_column_that_one_branch_lacks_is_a_warning() -> None:
    problems = check(fan(GroupColumns(name="join", columns=["a"]), one="a", two="b").graph)
    assert [(problem.severity, problem.message) for problem in problems] == [
        ("warning", "Step 'join' uses the column 'a', which rows from 'two' do not have.")
    ]
    assert check(fan(GroupColumns(name="join", columns=["a"]), one="a", two="a").graph) == []


def test_behind_a_step_that_is_not_finished_any_column_may_be() -> None:
    spec = spec_of(
        {"use": "Numbers", "name": "load"}, {"use": "Ask", "name": "ask"}, {**ASK, "use": "Review", "name": "review"},
        edges="load>ask ask>review",
    )  # fmt: skip
    assert said(check(spec)) == [("ask", "llm")]


def test_columns_that_only_a_run_makes_are_taken_on_trust() -> None:
    columns = ["distilabel_metadata", "llm_ask_logprobs"]
    assert check(line(Ask(name="ask", llm=EchoLLM()), KeepColumns(columns=columns)).graph) == []


def test_a_file_that_is_missing_is_said_before_the_run() -> None:
    source = LoadDataFromFileSystem(name="load", data_files="gone.csv")
    problems = check(line(Ask(llm=EchoLLM()), source=source).graph)
    assert said(problems) == [("load", "")] and "gone.csv" in problems[0].message
    with pytest.raises(DataFileError):
        raise_errors(problems)
    assert (
        check(
            line(Ask(llm=EchoLLM()), source=LoadDataFromFileSystem(name="load", data_files="gone.csv")).graph,
            asks_sources=False,
        )
        == []
    )


def test_a_source_that_cannot_know_its_columns_is_taken_on_trust() -> None:
    assert check(line(Ask(llm=EchoLLM()), source=LoadDataFromDicts(name="load", data=[])).graph) == []


class Faulty(Step):
    """Breaks when it is asked for its columns."""

    @property
    def inputs(self) -> list[str]:
        raise KeyError("oops")

    def process(self, inputs: StepInput) -> StepOutput:
        yield inputs


def test_a_step_that_breaks_is_a_problem_not_a_crash() -> None:
    (problem,) = check(line(Faulty(name="faulty"), Rename()).graph)
    assert problem.message == "Step 'faulty' cannot say its columns: KeyError: 'oops'"


class Picky(LLM):
    """Needs a temperature."""

    @property
    def model_name(self) -> str:
        return "picky"

    def generate(self, inputs: Any, temperature: float, num_generations: int = 1, **kwargs: Any) -> Any:
        return [["x"] for _ in inputs]


class Dosed(Rename):
    """Has runtime parameters."""

    dose: RuntimeParameter[int] = 1
    """How much."""


def test_a_required_runtime_parameter_says_where_to_give_it() -> None:
    (problem,) = check(line(Ask(name="ask", llm=Picky())).graph)
    assert problem.field == "llm.generation_kwargs.temperature"
    assert problem.message.startswith("Step 'ask' needs a value for 'llm.generation_kwargs.temperature'.")
    assert problem.message.endswith('parameters={"ask": {"llm": {"generation_kwargs": {"temperature": ...}}}}.')
    assert check(line(Ask(llm=Picky(generation_kwargs={"temperature": 1})), Dosed()).graph) == []


def test_routing_is_checked_too() -> None:
    steps = ({"use": "Numbers", "name": "load"}, ASK | {"name": "a"}, ASK | {"name": "b"})
    good = spec_of(*steps, edges="load>a load>b", routing=[{"from": "load", "use": "sample_n_steps", "n": 1}])
    assert check(good) == []
    bad = spec_of(
        *steps,
        edges="load>a load>b",
        routing=[
            {"from": "lod", "use": "x"},
            {"from": "load", "use": "sample_n_step"},
            {"from": "a", "use": "sample_n_steps", "n": 1},
        ],
    )
    messages = [problem.message for problem in check(bad)]
    assert "A routing function names the step 'lod', which is not there. Did you mean 'load'?" in messages[0]
    assert "no routing function 'sample_n_step'. Did you mean 'sample_n_steps'?" in messages[1]
    assert "no steps come next to choose among" in messages[2]


def test_routed_branches_are_checked_like_others() -> None:
    with Pipeline() as pipeline:
        branches = [Rename(name="one"), Rename(name="two", takes="txt")]
        Numbers(name="load") >> sample_n_steps(1) >> branches >> CombineOutputs()
    assert said(check(pipeline.graph)) == [("two", "input_mappings")]


def test_errors_are_raised_as_what_they_are_and_warnings_are_not() -> None:
    raise_errors([Problem("", "", "Careful.", "warning")])
    with pytest.raises(UnknownComponent, match="there is no component 'Nix'"):
        raise_errors(check(spec_of({"use": "Nix"})))
    with pytest.raises(ConfigError, match=r"^One\.\nTwo\.$"):
        raise_errors([Problem("", "", "One."), Problem("", "", "Two."), Problem("a", "", "Two.")])


NONSENSE: list[dict[str, Any]] = [
    {},
    {"use": None},
    {"use": 3},
    {"use": ["Ask"]},
    {"use": "LLM"},
    {"use": "Ask", "llm": None},
    {"use": "Ask", "llm": [ASK]},
    {"use": "Ask", "llm": "x"},
    {"use": "Ask", "llm": {"use": {"use": "EchoLLM"}}},
    {"use": "Ask", "llm": {"use": "EchoLLM", "generation_kwargs": []}},
    ASK | {"self": 1},
    ASK | {"name": "a b"},
    ASK | {"name": "x" * 200},
    ASK | {"pipeline": {"a": 1}},
    ASK | {"resources": 3},
    ASK | {"input_mappings": ["a"]},
    {"use": "TextGeneration", "llm": {"use": "EchoLLM"}, "template": "{{ ''.__class__ }}"},
    {"use": "TextGeneration", "llm": {"use": "EchoLLM"}, "template": "{% for"},
    {"use": "KeepColumns", "columns": {}},
    {"use": "LoadDataFromDicts", "data": "x"},
    {"use": "LoadDataFromFileSystem", "data_files": "/"},
    {"use": "LoadDataFromHub", "repo_id": "a/b", "storage_options": {"key": "x"}},
    {"use": "GroupColumns", "columns": ["a"], "output_columns": []},
]


@pytest.mark.parametrize("step", NONSENSE, ids=lambda step: str(step)[:60])
def test_nonsense_is_told_and_never_raised(step: dict[str, Any]) -> None:
    problems = check(spec_of(step, {"use": "Numbers", "name": "end"}, edges="a>b"))
    errors = [problem for problem in problems if problem.severity == "error" and problem.field != "connections"]
    assert errors and all(error.message for error in errors)
