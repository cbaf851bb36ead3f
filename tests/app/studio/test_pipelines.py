import pytest

from app.studio import EditConflict, NotFound
from app.studio.templates import TEMPLATES
from components.errors import ConfigError
from components.pipeline.spec import PipelineSpec
from tests.app.pipelines import add_tickets, asking

OLD = """
distilabel:
  version: 1.5.3
pipeline:
  name: old
  steps:
    - step:
        name: load
        data: [{instruction: hi}]
        type_info: {module: os, name: LoadDataFromDicts}
      name: load
    - step:
        name: gone
        type_info: {module: somewhere.evil, name: NoSuchStep}
      name: gone
  connections:
    - {from: load, to: [gone]}
"""


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_card_makes_a_pipeline_that_can_be_built_once_it_is_filled_in(studio, template):
    dataset = add_tickets(studio)
    draft = studio.pipelines.create(template, dataset_id=dataset.id, rehearses=True)
    assert studio.pipelines.get(draft.id).spec == draft.spec
    if template != "blank":
        problems = [problem.message for problem in studio.checks.check(draft.spec) if problem.severity == "error"]
        assert problems == []


def test_a_card_guesses_the_column_with_the_text(studio):
    import io

    info = studio.datasets.add(io.BytesIO(b"id,note\n1,a rather long text\n"), "notes.csv")
    draft = studio.pipelines.create("label_rows", dataset_id=info.id)
    assert draft.spec.step("label")["input_mappings"] == {"text": "note"}


def test_an_unknown_card_is_told(studio):
    with pytest.raises(ConfigError, match="Did you mean 'label_rows'"):
        studio.pipelines.create("label_row")


def test_a_draft_is_saved_with_its_revision(studio):
    draft = studio.pipelines.create("blank")
    saved = studio.pipelines.save(draft.id, asking(["hi"]), draft.revision)
    assert saved.revision == 2
    assert studio.pipelines.get(draft.id).spec.step_names() == ["seeds", "answer"]
    assert [info.n_steps for info in studio.pipelines.list()] == [2]


def test_two_windows_cannot_overwrite_each_other_unseen(studio):
    draft = studio.pipelines.create("blank")
    studio.pipelines.save(draft.id, asking(["mine"]), draft.revision)
    with pytest.raises(EditConflict, match="another window"):
        studio.pipelines.save(draft.id, asking(["theirs"]), draft.revision)
    assert studio.pipelines.get(draft.id).spec.step("seeds")["data"] == [{"instruction": "mine"}]


def test_an_unfinished_draft_is_saved_as_it_stands(studio):
    draft = studio.pipelines.create("blank")
    unfinished = PipelineSpec(name="", steps=[{"use": "TextGeneration", "name": "a"}])
    studio.pipelines.save(draft.id, unfinished, draft.revision)
    assert studio.pipelines.get(draft.id).spec == unfinished


def test_pipelines_are_renamed_copied_and_deleted(studio):
    draft = studio.pipelines.add(asking(["hi"]))
    renamed = studio.pipelines.rename(draft.id, " Tickets ")
    assert renamed.name == "Tickets"
    copy = studio.pipelines.duplicate(draft.id)
    assert (copy.name, copy.id != draft.id) == ("Copy of Tickets", True)
    studio.pipelines.delete(draft.id)
    assert [info.name for info in studio.pipelines.list()] == ["Copy of Tickets"]
    for act in (studio.pipelines.get, studio.pipelines.delete, studio.pipelines.duplicate):
        with pytest.raises(NotFound):
            act(draft.id)
    with pytest.raises(ConfigError, match="name"):
        studio.pipelines.rename(copy.id, " ")


def test_yaml_goes_out_and_comes_back_the_same(studio):
    draft = studio.pipelines.add(asking(["hi"], template="{{ instruction }}!"))
    again = studio.pipelines.create_from_text(studio.pipelines.yaml(draft.id))
    assert again.spec == draft.spec.model_copy(update={"name": f"{draft.name} 2"})
    assert again.notes == []


def test_a_file_of_the_older_library_is_taken_over_with_notes(studio):
    draft = studio.pipelines.create_from_text(OLD, "old.yaml")
    assert draft.name == "old"
    assert draft.spec.step_names() == ["load", "gone"]
    assert any("NoSuchStep" in note for note in draft.notes)


@pytest.mark.parametrize("text", ["", "just text", "a: [1", "stillroom: 1\npipeline: 3\n", "x: &a [1]\ny: *a\n"])
def test_a_file_that_is_no_pipeline_is_told_in_a_sentence(studio, text):
    with pytest.raises(ConfigError):
        studio.pipelines.create_from_text(text)
    assert studio.pipelines.list() == []


def test_a_file_named_like_a_pipeline_gives_its_name(studio, tmp_path):
    path = tmp_path / "tickets.yaml"
    path.write_text(asking(["hi"]).model_copy(update={"name": ""}).to_yaml())
    assert studio.pipelines.create_from_file(path).name == "tickets"
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        studio.pipelines.create_from_file(tmp_path / "gone.yaml")


def test_every_ready_pipeline_can_be_taken(studio):
    for ready in studio.pipelines.ready():
        assert studio.pipelines.create_from_ready(ready.key).spec.steps
    with pytest.raises(ConfigError, match="no ready pipeline"):
        studio.pipelines.create_from_ready("../secrets")


def test_a_key_in_a_file_is_refused(studio):
    text = asking(["hi"]).to_yaml().replace("use: RehearsalLLM", "use: OpenAILLM\n      api_key: sk-canary-1234567890")
    with pytest.raises(ConfigError) as error:
        studio.pipelines.create_from_text(text)
    assert "sk-canary" not in str(error.value)


def test_new_pipelines_never_share_a_name(studio):
    names = [studio.pipelines.create("label_rows").name for _ in range(3)]
    assert names == ["Label rows", "Label rows 2", "Label rows 3"]
    ready = studio.pipelines.ready()[0]
    assert [studio.pipelines.create_from_ready(ready.key).name for _ in range(2)] == [ready.name, f"{ready.name} 2"]
    assert len({info.name for info in studio.pipelines.list()}) == 5
    long = "x" * 200
    assert [studio.pipelines.duplicate(studio.pipelines.create("blank").id).name] == ["Copy of New pipeline"]
    first, second = (studio.pipelines.create_from_text(f"stillroom: 1\npipeline: {{name: {long}}}") for _ in range(2))
    assert first.name == long and second.name == f"{'x' * 190} 2"
