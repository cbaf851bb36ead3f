from app.ui.columns import StepColumns
from app.ui.form_errors import errors_at_fields, said_at_field
from app.ui.form_fields import Kind
from app.ui.form_sections import model_sections, sections_of
from components.pipeline.checks import check
from components.pipeline.spec import PipelineSpec

LABEL = {"use": "TextClassification", "name": "label", "llm": {"use": "OpenAILLM", "model": "m"}}
COLUMNS = StepColumns(reaching=["body"], needs={"text": True})


def names(fields) -> list[str]:
    return [field.path[-1] for field in fields]


def test_settings_stand_apart_from_runtime_parameters() -> None:
    found = sections_of(LABEL, COLUMNS, shows_all=True)
    assert "available_labels" in names(found.settings) and "available_labels" not in names(found.runtime)
    assert "num_generations" in names(found.runtime)
    assert all(field.is_runtime for field in found.runtime)
    assert not any(field.is_runtime for field in [*found.settings, *found.rest])


def test_what_every_step_has_shows_only_on_request_or_when_it_is_set() -> None:
    assert "use_cache" not in names(sections_of(LABEL, COLUMNS, shows_all=False).rest)
    assert "use_cache" in names(sections_of(LABEL, COLUMNS, shows_all=True).rest)
    assert "use_cache" in names(sections_of({**LABEL, "use_cache": False}, COLUMNS, shows_all=False).rest)


def test_a_form_never_asks_for_a_key() -> None:
    found = model_sections({"use": "OpenAILLM", "model": "m"}, ("llm",), shows_all=True)
    every = [*found.names, *found.settings, *found.generation, *found.runtime]
    assert "api_key" not in names(every) and not [field for field in every if field.kind is Kind.SECRET]


def test_temperature_and_length_come_first_among_the_parameters() -> None:
    found = model_sections({"use": "OpenAILLM", "model": "m"}, ("llm",), shows_all=True)
    assert names(found.generation)[:2] == ["temperature", "max_new_tokens"]
    few = model_sections({"use": "OpenAILLM", "model": "m"}, ("llm",), shows_all=False)
    assert names(few.generation) == ["temperature", "max_new_tokens"]


def test_each_column_that_a_task_takes_can_be_picked() -> None:
    (text,) = sections_of(LABEL, COLUMNS, shows_all=False).inputs
    assert text.path == ("input_mappings", "text") and text.kind is Kind.COLUMN and text.default == "text"


def test_a_problem_is_put_at_the_field_that_it_is_about() -> None:
    step = {**LABEL, "n": 0, "llm": {"use": "OpenAILLM", "model": "m", "generation_kwargs": {"temperature": 7}}}
    spec = PipelineSpec(name="p", steps=[step])
    sections = sections_of(step, COLUMNS, shows_all=False)
    model = model_sections(step["llm"], ("llm",), shows_all=False)
    fields = [*sections.inputs, *sections.settings, *model.names, *model.generation]
    at_fields, others = errors_at_fields(check(spec), fields, step)
    assert at_fields["f-n"] == "Input should be greater than or equal to 1."
    assert at_fields["f-llm-generation_kwargs-temperature"] == "Input should be less than or equal to 2."
    assert others == [
        "Step 'label' needs a step before it. Connect one, or begin with a source such as LoadDataFromFileSystem."
    ]


def test_a_column_that_is_missing_is_told_at_its_picker() -> None:
    source = {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"body": "hello"}]}
    task = {**LABEL, "llm": {"use": "RehearsalLLM"}, "input_mappings": {"text": "bod"}}
    spec = PipelineSpec(name="p", steps=[source, task], connections=[{"from": "seeds", "to": ["label"]}])
    at_fields, _ = errors_at_fields(check(spec), sections_of(task, COLUMNS, shows_all=False).inputs, task)
    assert "Did you mean 'body'?" in at_fields["f-input_mappings-text"]


def test_a_message_leaves_out_what_its_place_makes_plain() -> None:
    assert said_at_field("OpenAILLM of step 'x': 'top_p' input should be 1.") == "Input should be 1."
    assert said_at_field("OpenAILLM of step 'x' needs a value for 'model'.") == "This needs a value."
    assert said_at_field("Step 'x' needs the column 'y'.") == "Step 'x' needs the column 'y'."
