"""Rows from a dataset on the Hugging Face Hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from components.component import Incidental, RuntimeParameter
from components.errors import ConfigError, DataFileError, did_you_mean
from components.steps.load.batches import in_batches
from components.steps.load.dataset import dataset_rows
from components.steps.step import GeneratorStep
from components.steps.typing import GeneratorStepOutput, Row, StepColumns
from components.vault import current_vault

HUB = "https://huggingface.co"
REPO_ID = r"^([\w-][\w.-]*/)?[\w-][\w.-]*$"


class LoadDataFromHub(GeneratorStep):
    """Start from a dataset on the Hugging Face Hub."""

    repo_id: RuntimeParameter[str] = Field(None, pattern=REPO_ID, max_length=200)
    """The dataset's name on the Hub, such as argilla/ultrafeedback-binarized."""
    split: RuntimeParameter[str] = "train"
    """The part to read: train, test, or a piece such as train[:100] or train[:10%]."""
    config: RuntimeParameter[str] = None
    """The configuration to read, where the dataset has several."""
    revision: RuntimeParameter[str] = None
    """A branch, tag or commit; left empty, the newest state of main."""
    streaming: Incidental[RuntimeParameter[bool]] = False
    """Read rows over the network as they are needed, instead of downloading the dataset first."""
    num_examples: RuntimeParameter[int] = Field(None, ge=1)
    """Read only this many rows, from the beginning."""
    storage_options: RuntimeParameter[dict[str, Any]] = Field(None, exclude=True)
    """Options for a remote file system; they can hold keys, so they are never saved."""

    _columns: dict[tuple[Any, ...], list[str]] = PrivateAttr(default_factory=dict)

    @property
    def outputs(self) -> StepColumns:
        asked = (self.repo_id, self.config, self.revision, self.split)
        if asked not in self._columns:
            self._columns[asked] = self._read_columns()
        return self._columns[asked]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        builder = self._dataset_builder()
        with _in_plain_words(self.repo_id):
            yield from in_batches(dataset_rows(self._dataset(builder), offset, self.num_examples), self.batch_size)

    def fingerprint(self) -> str:
        return str(self._dataset_builder().hash)

    def _dataset(self, builder: Any) -> Any:
        if not self.streaming:
            builder.download_and_prepare()
            return builder.as_dataset(self.split)
        if "[" in (self.split or ""):
            raise ConfigError(
                f"{self._title()}: a piece of a split cannot be streamed. "
                "Set streaming to False, or leave the piece out and set num_examples."
            )
        return builder.as_streaming_dataset(self.split)

    def _read_columns(self) -> list[str]:
        builder = self._dataset_builder()
        if builder.info.features is not None:
            return list(builder.info.features)
        with _in_plain_words(self.repo_id):
            first: Row = next(iter(builder.as_streaming_dataset(_names(self.split)[0])), {})
        return list(first)

    def _dataset_builder(self) -> Any:
        from datasets import load_dataset_builder

        repo_id = self._repo_id()
        key = current_vault().environment_key("HF_TOKEN", HUB, HUB)
        with _in_plain_words(repo_id):
            try:
                builder = load_dataset_builder(
                    repo_id,
                    self.config,
                    revision=self.revision,
                    storage_options=self.storage_options,
                    token=key.get_secret_value() if key else None,
                )
            except ValueError as error:
                raise self._wrong_config(error) from error
        splits = [str(name) for name in builder.info.splits or builder.config.data_files or ()]
        for name in _names(self.split):
            if splits and name not in splits and name != "all":
                raise ConfigError(
                    f"The dataset {repo_id} has no split '{name}'. Set split to one of: {', '.join(splits)}."
                    + did_you_mean(name, splits)
                )
        return builder

    def _repo_id(self) -> str:
        if not self.repo_id:
            raise ConfigError(f"{self._title()} needs the name of a dataset. Set repo_id to it.")
        if Path(self.repo_id).exists():
            raise ConfigError(
                f"'{self.repo_id}' is a folder on this machine, so it cannot be told from a dataset on the Hub. "
                "Use LoadDataFromDisk or LoadDataFromFileSystem for a folder."
            )
        return self.repo_id

    def _wrong_config(self, error: ValueError) -> ConfigError:
        from datasets import get_dataset_config_names

        names = get_dataset_config_names(self.repo_id, revision=self.revision)
        if self.config in names:
            return ConfigError(f"The dataset {self.repo_id} cannot be read: {error}.")
        asked = f"has no configuration '{self.config}'" if self.config else "has several configurations"
        return ConfigError(
            f"The dataset {self.repo_id} {asked}. Set config to one of: {', '.join(names)}."
            + did_you_mean(self.config or "", names)
        )


def _names(split: str | None) -> list[str]:
    """The splits that `train[:10%]+test` is made of."""
    return [part.partition("[")[0].strip() for part in (split or "train").split("+")]


@contextmanager
def _in_plain_words(repo_id: str | None) -> Iterator[None]:
    import httpx
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except DatasetNotFoundError as error:
        raise ConfigError(_not_found(repo_id, error)) from error
    except (EmptyDatasetError, DataFilesNotFoundError) as error:
        raise DataFileError(f"The dataset {repo_id} holds no files that can be read as a table.") from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise ConfigError(
            f"The dataset {repo_id} needs a script of its own to be loaded, and such scripts are not run."
        ) from error
    except DatasetsError as error:
        raise DataFileError(f"The dataset {repo_id} cannot be read: {error}") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise ConfigError(f"The Hub did not accept HF_TOKEN for the dataset {repo_id}. Check the token.") from error
        raise DataFileError(_unreachable(repo_id)) from error
    except (ConnectionError, OfflineModeIsEnabled, httpx.TransportError) as error:
        raise DataFileError(_unreachable(repo_id)) from error


def _unreachable(repo_id: str | None) -> str:
    return f"The Hub could not be asked for the dataset {repo_id}. Try again in a moment."


def _not_found(repo_id: str | None, error: Exception) -> str:
    said = str(error)
    if "gated" in said:
        return (
            f"The dataset {repo_id} is gated. Ask for access at {HUB}/datasets/{repo_id}, "
            "then set HF_TOKEN to a token of your account."
        )
    if said.startswith("Revision"):
        return said
    return (
        f"There is no dataset {repo_id} on the Hub, or it is private. "
        "Check the name, and set HF_TOKEN to a token that may read it."
    )
