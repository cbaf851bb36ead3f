"""Pipeline files of the older library."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from components.pipeline import Pipeline, files
from components.pipeline.checks import check
from components.pipeline.convert import convert, is_old, spec_of
from components.pipeline.spec import PipelineSpec

OLD = """
distilabel:
  version: 1.5.3
pipeline:
  name: doc
  description: null
  steps:
  - name: load
    step:
      name: load
      resources: {replicas: 1, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {prompt: instruction}
      use_cache: true
      batch_size: 50
      runtime_parameters_info:
      - name: resources
        runtime_parameters_info: [{name: replicas, optional: true, description: The number of replicas.}]
      - {name: batch_size, optional: true, description: The number of rows.}
      type_info: {module: distilabel.steps.generators.data, name: LoadDataFromDicts}
  - name: text_generation
    step:
      name: text_generation
      resources: {replicas: 2, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {}
      use_cache: true
      input_batch_size: 50
      llm:
        generation_kwargs: {temperature: 0.3, max_new_tokens: 64}
        use_offline_batch_generation: false
        offline_batch_generation_block_until_done: null
        jobs_ids: !!python/tuple
        - batch_1
        - batch_2
        structured_output: null
        model: gpt-4o-mini
        base_url: https://api.openai.com/v1
        max_retries: 6
        timeout: 120
        type_info: {module: distilabel.models.llms.openai, name: OpenAILLM}
      group_generations: false
      add_raw_output: true
      add_raw_input: true
      num_generations: 3
      use_default_structured_output: false
      system_prompt: null
      use_system_prompt: true
      template: '{{ instruction }}'
      columns: [instruction]
      runtime_parameters_info: [{name: num_generations, optional: true, description: How many.}]
      type_info: {module: distilabel.steps.tasks.text_generation, name: TextGeneration}
  connections:
  - {from: load, to: [text_generation]}
  - {from: text_generation, to: []}
  routing_batch_functions: []
  type_info: {module: distilabel.pipeline.local, name: Pipeline}
requirements: []
"""


def old(*steps: dict[str, Any], **pipeline: Any) -> dict[str, Any]:
    entries = [{"name": step["name"], "step": step} for step in steps]
    return {"distilabel": {"version": "1.5.3"}, "pipeline": {"name": "p", "steps": entries, **pipeline}}


def step(component: str, name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields, "type_info": {"module": "distilabel.steps", "name": component}}


def llm(component: str = "OpenAILLM", **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", **fields, "type_info": {"module": "distilabel.models", "name": component}}


def test_a_file_of_the_older_library_is_taken_over(tmp_path: Path) -> None:
    document = files.parse(OLD)
    assert is_old(document)
    spec, notes = convert(document)
    assert (spec.name, spec.description) == ("doc", "")
    load, task = spec.steps
    assert load == {"use": "LoadDataFromDicts", "name": "load", "output_mappings": {"prompt": "instruction"}}
    assert (task["use"], task["num_generations"]) == ("TextGeneration", 3)
    assert task["resources"] == {"use": "StepResources", "replicas": 2}
    model = task["llm"]
    assert (model["use"], model["model"]) == ("OpenAILLM", "gpt-4o-mini")
    assert model["generation_kwargs"] == {"temperature": 0.3, "max_new_tokens": 64}
    assert model["jobs_ids"] == ["batch_1", "batch_2"]
    assert spec.edges() == [("load", "text_generation")]
    assert any("Step 'load': the file does not hold its rows" in note for note in notes)
    assert [(problem.field, problem.severity) for problem in check(spec)] == [
        ("data", "error"),
        ("resources", "warning"),
    ]


def test_yaml_and_json_are_taken_over_alike(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "old.json").write_text(json.dumps(files.parse(OLD)))
    assert PipelineSpec.read(tmp_path / "old.yaml") == PipelineSpec.read(tmp_path / "old.json")


def test_what_was_taken_over_is_read_back_from_our_own_form() -> None:
    spec, _ = convert(files.parse(OLD))
    assert spec_of(files.parse(spec.to_yaml())) == (spec, [])


def test_a_pipeline_with_its_rows_runs_on_as_ours() -> None:
    data = [{"instruction": "Say it."}]
    document = old(
        step("LoadDataFromDicts", "load", data=data),
        step("TextGeneration", "write", llm={"type_info": {"module": "x", "name": "RehearsalLLM"}}),
        connections=[{"from": "load", "to": ["write"]}],
    )
    pipeline = Pipeline.from_dict(document)
    assert check(pipeline.graph) == []
    assert pipeline.graph.order() == ["load", "write"]


def test_module_paths_mean_nothing() -> None:
    document = old(step("TextGeneration", llm=llm()))
    for entry in document["pipeline"]["steps"]:
        entry["step"]["type_info"]["module"] = "somewhere.that.does.not.exist"
        entry["step"]["llm"]["type_info"]["module"] = 3
    spec, notes = convert(document)
    assert (spec.steps[0]["use"], spec.steps[0]["llm"]["use"], notes) == ("TextGeneration", "OpenAILLM", [])


def test_an_unknown_component_stays_as_a_draft_with_its_fields() -> None:
    spec, notes = convert(old(step("MagicTask", llm=llm("MagicLLM"), spell="x", size=None)))
    assert spec.steps == [
        {"use": "MagicTask", "name": "a", "llm": {"use": "MagicLLM", "model": "gpt-4o-mini"}, "spell": "x"}
    ]
    assert [note.split(".")[0] for note in notes] == [
        "Step 'a': Stillroom has no component 'MagicTask'",
        "Step 'a': Stillroom has no component 'MagicLLM'",
    ]


def test_a_model_where_a_step_belongs_is_not_taken_over_as_one() -> None:
    _, notes = convert(old(step("OpenAILLM")))
    assert notes == ["Step 'a': Stillroom has no component 'OpenAILLM'. Choose another one in its place."]


def test_unknown_fields_are_left_out_and_told_with_their_value() -> None:
    spec, notes = convert(old(step("KeepColumns", columns=["a"], color="red", shape=None, flags={}, on=False)))
    assert spec.steps == [{"use": "KeepColumns", "name": "a", "columns": ["a"]}]
    assert notes == ["""Step 'a': 'color' has no counterpart and was left out. It was "red"."""]


def test_values_that_do_not_fit_stay_for_the_checks_to_say() -> None:
    spec, notes = convert(old(step("KeepColumns", columns=["a"], input_batch_size="many")))
    assert (spec.steps[0]["input_batch_size"], notes) == ("many", [])
    assert "input_batch_size" in [problem.field for problem in check(spec)]


def test_lists_of_models_are_taken_over() -> None:
    spec, _ = convert(old(step("MixtureTask", llms=[llm(), llm("MagicLLM")])))
    assert [model["use"] for model in spec.steps[0]["llms"]] == ["OpenAILLM", "MagicLLM"]


def test_keys_are_not_taken_over_and_not_shown() -> None:
    canary = "sk-canary-4d2e"
    document = old(
        step("TextGeneration", llm=llm(api_key=canary), hf_token=canary, extras={"api_key": canary, "color": "red"}),
        step("MagicTask", "b", llm=llm("MagicLLM", api_key=canary)),
    )
    spec, notes = convert(document)
    assert canary not in spec.model_dump_json() + "".join(notes)
    assert sum("is a key and was not taken over" in note for note in notes) == 3


def test_routing_of_the_catalog_is_taken_over_and_code_is_not() -> None:
    functions = [
        {"step": "a", "description": None, "type_info": {"module": "os", "name": "sample_n_steps", "kwargs": {"n": 1}}},
        {"step": "b", "description": "Mine.", "type_info": {"module": "__main__", "name": "mine", "kwargs": {}}},
    ]
    steps = [step("KeepColumns", name, columns=["x"]) for name in "abcd"]
    connections = [{"from": "a", "to": ["b", "c"]}, {"from": "b", "to": ["d"]}]
    spec, notes = convert(old(*steps, connections=connections, routing_batch_functions=functions))
    assert [entry.model_dump() for entry in spec.routing] == [{"from": "a", "use": "sample_n_steps", "n": 1}]
    assert notes == [
        "The routing function after step 'b' is code and was not taken over. "
        "Until you choose another one, all rows go to all the next steps."
    ]


def test_connections_to_nowhere_are_left_out_and_told() -> None:
    spec, notes = convert(
        old(step("KeepColumns", columns=["x"]), connections=[{"from": "a", "to": ["gone"]}, {"to": 3}, 7])
    )
    assert spec.connections == []
    assert "names the step 'gone'" in notes[0]


def test_packages_that_the_file_asks_for_are_told() -> None:
    _, notes = convert(old() | {"requirements": ["numpy>=1"]})
    assert notes == ['The file asks for these packages; install them yourself: ["numpy>=1"].']


def test_reading_logs_what_could_not_be_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    PipelineSpec.read(tmp_path / "old.yaml")
    assert "the file does not hold its rows" in caplog.text


def test_an_enumeration_is_its_values_and_its_code_is_not_looked_at(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    enumeration = {
        "_type": "enum",
        "_enum_type": f"__import__('os').system('touch {trap}')",
        "_name": "Mutation",
        "_values": {"ADD": "Add one.", "DROP": "Drop one."},
    }
    spec, _ = convert(old(step("EvolTask", mutation_templates=enumeration)))
    assert spec.steps[0]["mutation_templates"] == {"ADD": "Add one.", "DROP": "Drop one."}
    assert not trap.exists()


def traps(trap: Path) -> list[dict[str, Any]]:
    code = f"__import__('os').system('touch {trap}')"
    evil = {"module": "os", "name": "system", "kwargs": {"command": f"touch {trap}"}}
    enumeration = {"_type": "enum", "_enum_type": code, "_name": "E", "_values": {"a": code}}
    return [
        old({"name": "a", "command": f"touch {trap}", "type_info": {"module": "os", "name": "system"}}),
        old({"name": "a", "command": f"touch {trap}", "type_info": {"type_info": evil}}),
        old({"name": "a", "type_info": {"module": "antigravity_of_a_trap", "name": "X"}}),
        old(step("TextGeneration", llm={"command": f"touch {trap}", "type_info": {"module": "os", "name": "system"}})),
        old(step("TextGeneration", llm=llm(), template=enumeration)),
        old(step("TextGeneration", llm=llm(), system_prompt=enumeration, columns=enumeration)),
        old(step("TextGeneration", llm=llm(), template="{{ ''.__class__.__mro__[1].__subclasses__() }}")),
        old(step("KeepColumns", columns=["x"], resources={"replicas": enumeration, "type_info": evil})),
        old(step("KeepColumns", columns=["x"]), routing_batch_functions=[{"step": "a", "type_info": evil}]),
        old(step("KeepColumns", columns=["x"]), type_info=evil) | {"type_info": evil},
        {"pipeline": {"steps": [{"name": "a", "step": {"type_info": evil}}, None, 3, {"step": []}, {"name": {}}]}},
        {"stillroom": 1, "pipeline": {"steps": [{"use": "os.system", "name": "a", "command": f"touch {trap}"}]}},
        {"stillroom": 1, "pipeline": {"steps": [{"use": "TextGeneration", "llm": {"use": "os:system"}}]}},
        {"stillroom": 1, "pipeline": {"routing": [{"from": "a", "use": "os.system", "command": f"touch {trap}"}]}},
    ]


@pytest.mark.parametrize("number", range(14))
def test_nothing_in_a_file_ever_runs(number: int, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    document = traps(trap)[number]
    modules = set(sys.modules)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(document))
    spec = PipelineSpec.read(path)
    assert check(spec)
    with suppress(ConfigError):
        Pipeline.from_file(path)
    assert not trap.exists()
    assert not [name for name in set(sys.modules) - modules if "antigravity" in name]


class Payload:
    """What an attacker would have YAML make."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trap}",)


def test_objects_in_yaml_are_refused_before_they_are_made(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "p.yaml"
    path.write_text(yaml.dump(old(step("KeepColumns", columns=Payload(trap)))))
    assert "!!python/object/apply" in path.read_text()
    with pytest.raises(ConfigError, match=r"p\.yaml, line \d+: the tag !!python/object/apply:\S+ is not allowed"):
        PipelineSpec.read(path)
    assert not trap.exists()


def test_what_is_never_saved_is_not_taken_over_and_not_repeated() -> None:
    options = {"token": "hf_canary", "client_kwargs": {"auth": "hf_canary"}}
    spec, notes = convert(old(step("LoadDataFromHub", repo_id="org/x", storage_options=options)))
    assert spec.steps == [{"use": "LoadDataFromHub", "name": "a", "repo_id": "org/x"}]
    assert notes == ["Step 'a': 'storage_options' can hold keys and is never saved, so it was not taken over."]
    assert "canary" not in spec.to_yaml()


def test_generation_parameters_that_are_no_more_are_left_out_and_listed() -> None:
    kwargs = {"temperature": 0.7, "do_sample": True, "watermark": False, "top_n_tokens": None}
    model = llm("InferenceEndpointsLLM", generation_kwargs=kwargs) | {"model_id": "a/b"}
    del model["model"]
    spec, notes = convert(old(step("TextGeneration", llm=model)))
    assert spec.steps[0]["llm"]["generation_kwargs"] == {"temperature": 0.7}
    assert notes == ["Step 'a': the generation parameter 'do_sample' has no counterpart and was left out. It was true."]
    assert check(spec, has_dataset=True) == []
