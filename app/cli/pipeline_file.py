"""The pipeline of a command: read from its file, with the rows and settings of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cli.overrides import with_settings
from app.cli.screen import Screen, WrongUse
from components.pipeline import editing, files
from components.pipeline.convert import spec_of
from components.pipeline.spec import PipelineSpec

LOADER = "LoadDataFromFileSystem"
KEPT = ("output_mappings", "batch_size", "num_examples", "resources", "use_cache")
OF_THE_OLD_FILE = ("filetype", "encoding", "delimiter")
PATHS = ("data_files", "dataset_path", "model_path")


def read(path: Path, screen: Screen, *, settings: Sequence[str] = (), data: Path | None = None) -> PipelineSpec:
    """The pipeline in a file of either library, changed as the command line says.

    Raises: WrongUse naming the flag; ConfigError naming the file.
    """
    spec, notes = spec_of(files.read(path))
    for note in notes:
        screen.note(note)
    spec = spec if spec.name else spec.model_copy(update={"name": path.stem})
    if data is not None:
        spec = with_data(spec, data)
    return with_settings(_at_full_length(spec), settings)


def with_data(spec: PipelineSpec, data: Path) -> PipelineSpec:
    """The pipeline with a file as the source of its rows, whatever its source was.

    Raises: WrongUse when it has several.
    """
    sources = [name for name in spec.step_names() if editing.is_source(spec, name)]
    if len(sources) > 1:
        named = ", ".join(f"'{name}'" for name in sources)
        raise WrongUse(
            f"--data: the pipeline has {len(sources)} sources, {named}. "
            f"Choose one with --set {sources[0]}.data_files={data}."
        )
    if not sources:
        spec = editing.add_step(spec, LOADER)
        sources = [spec.step_names()[0]]
    steps = [_loading(step, data) if step["name"] == sources[0] else step for step in spec.steps]
    return spec.model_copy(update={"steps": steps})


def _loading(step: dict[str, Any], data: Path) -> dict[str, Any]:
    kept = [name for name in KEPT if name in step]
    if step["use"] == LOADER and _ending(step.get("data_files")) == data.suffix.lower():
        kept += [name for name in OF_THE_OLD_FILE if name in step]
    return {"use": LOADER, "name": step["name"], "data_files": str(data), **{name: step[name] for name in kept}}


def _at_full_length(spec: PipelineSpec) -> PipelineSpec:
    """Paths as they are from anywhere: whoever goes on with the run may stand in another folder."""
    return spec.model_copy(update={"steps": [{**step, **_full_paths(step)} for step in spec.steps]})


def _full_paths(step: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in PATHS:
        value = step.get(name)
        if isinstance(value, str) and value:
            found[name] = _full_path(value)
        elif isinstance(value, list):
            found[name] = [_full_path(item) if isinstance(item, str) else item for item in value]
    parts = {name: value for name, value in step.items() if isinstance(value, dict) and "use" in value}
    return found | {name: {**part, **_full_paths(part)} for name, part in parts.items()}


def _full_path(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _ending(data_files: Any) -> str:
    return Path(data_files).suffix.lower() if isinstance(data_files, str) else ""
