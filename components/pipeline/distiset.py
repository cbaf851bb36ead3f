"""The result of a run: one dataset for each last step of the pipeline."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import ConfigError, DataFileError
from components.pipeline import files
from components.pipeline.card import dataset_card
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.results import Results
from components.pipeline.spec import PipelineSpec
from components.states import CellState, RunState
from components.steps.step import METADATA
from components.steps.typing import Row

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

log = logging.getLogger("stillroom")

CONFIG_FOLDER = "distiset_configs"
MARKS = ("state.json", "dataset_dict.json")
"""The files by which a folder is known for a saved dataset."""


@dataclass(frozen=True)
class RowFailure:
    """A row that has no result, and why."""

    step: str
    row: str
    state: str
    reason: str
    message: str


class Distiset(dict[str, "DatasetDict | Dataset"]):
    """Datasets by the name of the step that made them; `default` where the pipeline has one last step.

    A row that failed is in it too, with nothing in its new columns; `failures` says why.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.run_id: str = ""
        self.state: str = ""
        self.is_rehearsal: bool = False
        self.state_reason: str = ""
        self.failures: list[RowFailure] = []
        self.spec: PipelineSpec | None = None
        self.log_filename_path: Path | None = None
        self.artifacts_path: Path | None = None

    @classmethod
    def from_run(
        cls,
        ledger: Ledger,
        run_id: str,
        *,
        with_metadata: bool = False,
        columns: Mapping[str, Sequence[str]] | None = None,
    ) -> "Distiset":
        """The datasets of a run, also of one that is not done.

        `columns`: for each last step, columns that are there even where no row has them.
        """
        from datasets import Dataset, DatasetDict

        run = ledger.run(run_id)
        spec = PipelineSpec.model_validate_json(run.spec)
        distiset = cls()
        distiset.run_id, distiset.state, distiset.state_reason, distiset.spec = (
            run.id,
            run.state,
            run.state_reason,
            spec,
        )
        distiset.is_rehearsal = run.is_rehearsal
        leaves = [step.step for step in ledger.steps(run_id) if step.is_leaf]
        for leaf in leaves:
            results = Results(ledger, run_id, leaf, spec.edges())
            rows: list[Row] = []
            for result in results.all():
                values = dict(result.values)
                if result.state in (CellState.FAILED, CellState.EXPIRED, CellState.SKIPPED):
                    failure = RowFailure(leaf, result.row, result.state, result.reason, result.message)
                    distiset.failures.append(failure)
                if not with_metadata:
                    values.pop(METADATA, None)
                for name in (columns or {}).get(leaf, ()):
                    values.setdefault(name, None)
                rows.append(values)
            name = "default" if len(leaves) == 1 else leaf
            distiset[name] = DatasetDict({"train": Dataset(as_table(rows, (columns or {}).get(leaf, ())))})
        return distiset

    def train_test_split(self, train_size: float, shuffle: bool = True, seed: int | None = None) -> "Distiset":
        """Every dataset in a train and a test part; `train_size` is the share of rows to train on."""
        from datasets import Dataset, DatasetDict, concatenate_datasets

        if not 0 < train_size < 1:
            raise ConfigError(f"train_size is a share between 0 and 1, not {train_size}.")
        for name, value in self.items():
            whole = value if isinstance(value, Dataset) else concatenate_datasets(list(value.values()))
            if not 0 < int(len(whole) * train_size) < len(whole):
                raise ConfigError(
                    f"The dataset '{name}' has too few rows ({len(whole)}) to set a share of {train_size} apart. "
                    "Choose another train_size, or make more rows."
                )
            self[name] = DatasetDict(whole.train_test_split(train_size=train_size, shuffle=shuffle, seed=seed))
        return self

    def save_to_disk(
        self,
        distiset_path: str | Path,
        *,
        save_card: bool = True,
        save_pipeline_config: bool = True,
        save_pipeline_log: bool = True,
        **options: Any,
    ) -> None:
        """A folder with a dataset for each leaf, a card and the pipeline; `options` go to `Dataset.save_to_disk`."""
        folder = Path(distiset_path)
        for name, value in self.items():
            value.save_to_disk(str(folder / name), **options)
        configs = folder / CONFIG_FOLDER
        configs.mkdir(parents=True, exist_ok=True)
        if save_card:
            (configs / "README.md").write_text(dataset_card(self, name=folder.name), encoding="utf-8")
        if save_pipeline_config and (spec := self._told_file_spec()) is not None:
            spec.save(configs / "pipeline.yaml")

    @classmethod
    def load_from_disk(
        cls, distiset_path: str | Path, keep_in_memory: bool | None = None, **options: Any
    ) -> "Distiset":
        """What `save_to_disk` wrote. Raises: DataFileError when the folder holds none."""
        from datasets import load_from_disk

        folder = Path(distiset_path)
        names = sorted(file.parent.name for one in MARKS for file in folder.glob(f"*/{one}"))
        if not names:
            raise DataFileError(f"{folder.name}: there is no distiset in this folder.")
        distiset = cls({name: load_from_disk(str(folder / name), keep_in_memory=keep_in_memory) for name in names})
        config = folder / CONFIG_FOLDER / "pipeline.yaml"
        if config.exists():
            try:
                distiset.spec = PipelineSpec.read(config)
            except ConfigError as error:
                log.warning("The pipeline of the distiset was left out: %s", error)
        return distiset

    def file_spec(self) -> PipelineSpec | None:
        """The pipeline as it goes with the data: without the rows written into it where a file could not hold them."""
        if self.spec is None or _fits_in_a_file(self.spec):
            return self.spec
        steps = [{name: value for name, value in step.items() if name != "data"} for step in self.spec.steps]
        shorter = self.spec.model_copy(update={"steps": steps})
        return shorter if _fits_in_a_file(shorter) else None

    def _told_file_spec(self) -> PipelineSpec | None:
        spec = self.file_spec()
        if spec is not self.spec:
            what = "the rows that are written into it were" if spec is not None else "it was"
            log.warning("The pipeline is too big for a pipeline file, so %s left out.", what)
        return spec

    def push_to_hub(
        self,
        repo_id: str,
        private: bool = True,
        token: str | None = None,
        generate_card: bool = True,
        include_script: bool = False,
        **options: Any,
    ) -> str:
        """Publish every dataset, a card and the pipeline; private unless you say otherwise. Returns the address."""
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        for name, value in self.items():
            value.push_to_hub(repo_id, config_name=name, private=private, token=token, **options)
        if generate_card:
            card = dataset_card(self, name=repo_id.rpartition("/")[2])
            existing = _readme_front_matter(api, repo_id)
            api.upload_file(
                path_or_fileobj=(existing + card).encode(),
                path_in_repo="README.md",
                repo_id=repo_id,
                repo_type="dataset",
            )
        if (spec := self._told_file_spec()) is not None:
            api.upload_file(
                path_or_fileobj=spec.to_yaml().encode(),
                path_in_repo="stillroom.yaml",
                repo_id=repo_id,
                repo_type="dataset",
            )
        return f"{api.endpoint}/datasets/{repo_id}"


def as_table(rows: list[Row], columns: Iterable[str] = ()) -> Any:
    """Rows as an Arrow table; a column whose values do not agree on a type becomes text.

    `columns` are there even when there are no rows.
    """
    import pyarrow as pa

    names: dict[str, None] = {} if rows else dict.fromkeys(columns)
    for row in rows:
        names.update(dict.fromkeys(row))
    if not names:
        return pa.table({})
    arrays = {name: _array(name, [row.get(name) for row in rows]) for name in names}
    return pa.table(arrays)


def _array(name: str, values: Iterable[Any]) -> Any:
    import orjson
    import pyarrow as pa

    values = list(values)
    try:
        array = pa.array(values)
        # Parquet, which the Hub keeps, has no way to write an object without fields.
        return pa.array([_without_empty(value) for value in values]) if _holds_nothing(array.type) else array
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        log.warning("Column '%s' mixes kinds of values, so it was written as text.", name)
        texts = [
            value if value is None or isinstance(value, str) else orjson.dumps(value, default=str).decode()
            for value in values
        ]
        return pa.array(texts, pa.string())


def _holds_nothing(kind: Any) -> bool:
    """Whether somewhere in a kind there is an object without fields."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_holds_nothing(field.type) for field in kind)
    return pa.types.is_list(kind) and _holds_nothing(kind.value_type)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty(item) for name, item in value.items()} or None
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _fits_in_a_file(spec: PipelineSpec) -> bool:
    # JSON first, as it is quick, and YAML of the same content is hardly ever shorter.
    most = files.MOST_BYTES["yaml"]
    return len(spec.model_dump_json()) <= most and len(spec.to_yaml().encode()) <= most


def _readme_front_matter(api: Any, repo_id: str) -> str:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(repo_id, "README.md", repo_type="dataset", token=api.token)
    text = Path(path).read_text(encoding="utf-8")
    head, separator, rest = text.partition("---\n")
    if head or not separator:
        return ""
    front, separator, _ = rest.partition("---\n")
    return f"---\n{front}---\n\n" if separator else ""


def is_done(state: str) -> bool:
    """Whether a run came to its end."""
    return state in (RunState.DONE, RunState.DONE_WITH_FAILURES)
