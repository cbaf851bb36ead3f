from app.ui.columns import columns_of
from app.ui.guesses import with_guesses
from components.pipeline.spec import PipelineSpec


def test_columns_are_followed_from_the_file_to_the_last_step(studio) -> None:
    sample = studio.datasets.add_sample()
    spec = studio.pipelines.create("label_rows", dataset_id=sample.id, rehearses=True).spec
    columns = columns_of(spec, studio.datasets)
    assert columns["load_data"].makes == sample.columns
    assert columns["label"].reaching == sample.columns
    assert columns["label"].needs == {"text": True} and columns["label"].uses == ["text"]
    assert columns["label"].leaving == [*sample.columns, "labels", "model_name"]


def test_an_unfinished_step_still_says_what_it_needs(studio) -> None:
    spec = PipelineSpec(name="p", steps=[{"use": "TextGeneration", "name": "write", "template": "{{ topic }}"}])
    assert "topic" in columns_of(spec, studio.datasets)["write"].needs


def test_a_file_outside_the_app_s_folder_is_not_opened(studio, tmp_path) -> None:
    foreign = tmp_path / "secret.csv"
    foreign.write_text("password\nhunter2\n")
    step = {"use": "LoadDataFromFileSystem", "name": "load", "data_files": str(foreign)}
    assert columns_of(PipelineSpec(name="p", steps=[step]), studio.datasets)["load"].makes == []


def test_a_loop_ends(studio) -> None:
    steps = [{"use": "KeepColumns", "name": name, "columns": ["a"]} for name in ("one", "two")]
    loop = [{"from": "one", "to": ["two"]}, {"from": "two", "to": ["one"]}]
    assert set(columns_of(PipelineSpec(name="p", steps=steps, connections=loop), studio.datasets)) == {"one", "two"}


def test_a_text_that_a_task_cannot_find_is_taken_from_the_likeliest_column(studio, tmp_path) -> None:
    file = tmp_path / "mails.csv"
    file.write_text("id,body\n1,Where is my parcel? I have been waiting for weeks.\n2,Thanks\n")
    info = studio.datasets.add(file)
    spec = studio.pipelines.create("label_rows").spec
    step = {**spec.step("load_data"), "data_files": str(info.path)}
    spec = PipelineSpec(name="p", steps=[step, spec.step("label")], connections=spec.connections)
    assert with_guesses(spec, studio.datasets, info).step("label")["input_mappings"] == {"text": "body"}


def test_a_column_that_is_there_is_never_guessed_anew(studio) -> None:
    sample = studio.datasets.add_sample()
    spec = studio.pipelines.create("label_rows", dataset_id=sample.id).spec
    assert with_guesses(spec, studio.datasets, sample) == spec
