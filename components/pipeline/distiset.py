"""The result of a run: one dataset for each last step of the pipeline."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components import catalog
from components.errors import ConfigError, DataFileError, did_you_mean
from components.pipeline import artifacts
from components.pipeline.arrow import as_table
from components.pipeline.card import dataset_card
from components.pipeline.images import with_images
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.results import Results
from components.pipeline.run_log import log_of
from components.pipeline.script import running_script
from components.pipeline.sharing import SharedPipeline, shared
from components.pipeline.spec import PipelineSpec
from components.states import CellState, RunState
from components.steps.step import METADATA
from components.steps.typing import Row

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

log = logging.getLogger("stillroom")

CONFIG_FOLDER = "distiset_configs"
ARTIFACTS_FOLDER = "artifacts"
PIPELINE_FILE = "pipeline.yaml"
LOG_FILE = "pipeline.log"
HUB_PIPELINE_FILE = "stillroom.yaml"
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
        self.log: str = ""
        """What happened to the run, a line for each thing."""
        self.pipeline_path: Path | None = None
        """The file of the pipeline, where the distiset was saved to a folder or read from one."""
        self.log_filename_path: Path | None = None
        """The file of the log, likewise."""
        self.artifacts_path: Path | None = None
        """The folder of what steps kept with `save_artifact`; None where they kept nothing."""

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
        distiset.artifacts_path = artifacts.of_run(ledger, run.id)
        distiset.log = log_of(ledger.events(run.id), spec)
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

    @property
    def citations(self) -> list[str]:
        """What the steps of the pipeline are built on, as each of them names it."""
        uses = [str(step.get("use")) for step in self.spec.steps] if self.spec is not None else []
        known = [catalog.get(use).source for use in uses if use in catalog.names()]
        return list(dict.fromkeys(source for source in known if source))

    def transform_columns_to_image(self, columns: str | list[str]) -> "Distiset":
        """Make columns of base64 text columns of images, in every dataset that has them all.

        Raises: ConfigError for a column that no dataset has, and for a cell that is no picture.
        """
        from datasets import Dataset, DatasetDict

        wanted = [columns] if isinstance(columns, str) else list(columns)
        found = [name for name, value in self.items() if set(wanted) <= set(_column_names(value))]
        if not found:
            known = [name for value in self.values() for name in _column_names(value)]
            missing = next((name for name in wanted if name not in known), ", ".join(wanted))
            raise ConfigError(f"No dataset has the column '{missing}'.{did_you_mean(missing, known)}")
        for name in found:
            value = self[name]
            self[name] = (
                with_images(value, wanted)
                if isinstance(value, Dataset)
                else DatasetDict({split: with_images(part, wanted) for split, part in value.items()})
            )
        return self

    def save_to_disk(
        self,
        distiset_path: str | Path,
        *,
        save_card: bool = True,
        save_pipeline_config: bool = True,
        save_pipeline_log: bool = True,
        max_shard_size: str | int | None = None,
        num_shards: dict[str, int] | None = None,
        num_proc: int | None = None,
    ) -> None:
        """A folder with a dataset for each leaf, what steps kept, a card, the pipeline and the log of the run.

        The pipeline is written to be shared: without the folders of data files, and without rows that the datasets
        do not have. `Pipeline.save` keeps both. Raises: ConfigError for a leaf whose name the folder needs itself.
        """
        folder = Path(distiset_path)
        for name in self.keys() & {CONFIG_FOLDER, ARTIFACTS_FOLDER}:
            raise ConfigError(f"A step called '{name}' cannot be saved, as the folder has another '{name}'. Rename it.")
        for name, value in self.items():
            how = {"max_shard_size": max_shard_size, "num_shards": num_shards, "num_proc": num_proc}
            value.save_to_disk(str(folder / name), **how)
        if self.artifacts_path is not None and self.artifacts_path != folder / ARTIFACTS_FOLDER:
            artifacts.copy(self.artifacts_path, folder / ARTIFACTS_FOLDER)
        configs = folder / CONFIG_FOLDER
        configs.mkdir(parents=True, exist_ok=True)
        if save_card:
            (configs / "README.md").write_text(dataset_card(self, name=folder.name), encoding="utf-8")
        if save_pipeline_config and (told := self._told_pipeline()) is not None:
            self.pipeline_path = configs / PIPELINE_FILE
            self.pipeline_path.write_text(told.text(PIPELINE_FILE), encoding="utf-8")
        if save_pipeline_log and self.log:
            self.log_filename_path = configs / LOG_FILE
            self.log_filename_path.write_text(self.log, encoding="utf-8")

    @classmethod
    def load_from_disk(cls, distiset_path: str | Path, keep_in_memory: bool | None = None) -> "Distiset":
        """What `save_to_disk` wrote. Raises: DataFileError when the folder holds none."""
        from datasets import load_from_disk

        folder = Path(distiset_path)
        names = {file.parent.name for one in MARKS for file in folder.glob(f"*/{one}") if file.is_file()}
        names -= {CONFIG_FOLDER, ARTIFACTS_FOLDER}
        if not names:
            raise DataFileError(f"{folder.name}: there is no distiset in this folder.")
        distiset = cls(
            {name: load_from_disk(str(folder / name), keep_in_memory=keep_in_memory) for name in sorted(names)}
        )
        if (folder / ARTIFACTS_FOLDER).is_dir():
            distiset.artifacts_path = folder / ARTIFACTS_FOLDER
        log_file = folder / CONFIG_FOLDER / LOG_FILE
        if log_file.exists():
            distiset.log_filename_path = log_file
            distiset.log = log_file.read_text(encoding="utf-8", errors="replace")
        config = folder / CONFIG_FOLDER / PIPELINE_FILE
        if config.exists():
            distiset.pipeline_path = config
            try:
                distiset.spec = PipelineSpec.read(config)
            except ConfigError as error:
                log.warning("The pipeline of the distiset was left out: %s", error)
        return distiset

    def shared_pipeline(self) -> SharedPipeline | None:
        """The pipeline as it goes with the data to other people; None where there is none, or it is too big."""
        return shared(self.spec, self) if self.spec is not None else None

    def _told_pipeline(self) -> SharedPipeline | None:
        told = self.shared_pipeline()
        if told is None and self.spec is not None:
            log.warning("The pipeline is too big for a pipeline file, so it was left out.")
        elif told is not None and told.is_without_rows:
            log.warning("The rows that are written into the pipeline were left out of its file.")
        return told

    def push_to_hub(
        self,
        repo_id: str,
        private: bool = True,
        token: str | None = None,
        generate_card: bool = True,
        include_script: bool = False,
        **options: Any,
    ) -> str:
        """Publish every dataset, what steps kept, a card and the pipeline; private unless you say otherwise.

        `include_script` adds the running script as `pipeline.py`. `options` go to `Dataset.push_to_hub`. The pipeline
        is written to be shared, as by `save_to_disk`; the log of the run stays here. Returns the address.
        Raises: ConfigError where there is no script, or it seems to hold a key; nothing was published then.
        """
        from huggingface_hub import HfApi

        script = running_script() if include_script else None
        api = HfApi(token=token)
        for name, value in self.items():
            value.push_to_hub(repo_id, config_name=name, private=private, token=token, **options)
        files: dict[str, str] = {}
        if generate_card:
            card = dataset_card(self, name=repo_id.rpartition("/")[2])
            files["README.md"] = _readme_front_matter(api, repo_id) + card
        if (told := self._told_pipeline()) is not None:
            files[HUB_PIPELINE_FILE] = told.text(HUB_PIPELINE_FILE)
        if script is not None:
            files["pipeline.py"] = script
        for path, text in files.items():
            api.upload_file(path_or_fileobj=text.encode(), path_in_repo=path, repo_id=repo_id, repo_type="dataset")
        if self.artifacts_path is not None:
            with TemporaryDirectory() as folder:
                artifacts.copy(self.artifacts_path, Path(folder))
                api.upload_folder(
                    folder_path=folder, path_in_repo=ARTIFACTS_FOLDER, repo_id=repo_id, repo_type="dataset"
                )
        return f"{api.endpoint}/datasets/{repo_id}"


def _column_names(value: Any) -> list[str]:
    parts = value.values() if isinstance(value, Mapping) else [value]
    return list(dict.fromkeys(name for part in parts for name in part.column_names))


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
