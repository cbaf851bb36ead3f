"""Results on the Hugging Face Hub: private unless their owner says otherwise, with a card and the pipeline."""

import re
from contextlib import ExitStack
from typing import Any

from app.studio.connections import Connections
from app.studio.exports import Exports
from app.studio.results import ResultTables
from components.errors import ConfigError, CredentialError, ProviderDown, ProviderError, StillroomError
from components.pipeline import artifacts
from components.pipeline.distiset import Distiset, RowFailure
from components.pipeline.ledger import Ledger
from components.pipeline.spec import PipelineSpec
from components.states import CellState
from components.vault import key_on_this_machine

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}\Z")
WITHOUT_RESULT = (CellState.FAILED, CellState.EXPIRED, CellState.SKIPPED)


class Publishing:
    """Pushes the results of a run, with corrections in place."""

    def __init__(self, ledger: Ledger, results: ResultTables, exports: Exports, connections: Connections) -> None:
        self._ledger, self._results, self._exports, self._connections = ledger, results, exports, connections

    def push(self, run_id: str, repo_id: str, *, private: bool = True, connection: str = "") -> str:
        """Publish every last step's table as a dataset; returns its address. Takes as long as the upload.

        The token is that of a Hugging Face connection, else HF_TOKEN.
        Raises: NotFound; ConfigError for a name that cannot be one; CredentialError; ProviderError.
        """
        if not REPO_ID.match(repo_id):
            raise ConfigError(f"'{repo_id}' is no name for a dataset. Write it as owner/name, such as ada/tickets.")
        token = self._token(connection)
        run = self._results.table(run_id).run
        leaves = [record.step for record in self._ledger.steps(run_id) if record.is_leaf]
        distiset = Distiset()
        distiset.run_id, distiset.state, distiset.state_reason = run.id, run.state, run.state_reason
        distiset.is_rehearsal, distiset.spec = run.is_rehearsal, PipelineSpec.model_validate_json(run.spec)
        distiset.artifacts_path = artifacts.of_run(self._ledger, run.id)
        with ExitStack() as stack:
            for leaf in leaves:
                table = self._results.table(run_id, leaf)
                distiset.failures += [
                    RowFailure(leaf, result.row, result.state, result.reason, result.message)
                    for result in table.results.all(WITHOUT_RESULT)
                ]
                path = stack.enter_context(self._exports.parquet_file(table))
                distiset["default" if len(leaves) == 1 else leaf] = _dataset(path)
            return _pushed(distiset, repo_id, private, token)

    def _token(self, connection: str) -> str:
        key = None
        if connection:
            info = self._connections.named(connection)
            if info.provider != "huggingface":
                raise ConfigError(f"'{connection}' is a connection to {info.title}, not to Hugging Face.")
            lent = self._connections.vault().connection(connection)
            key = lent.key if lent else None
        else:
            stored = [info.name for info in self._connections.list() if info.provider == "huggingface"]
            lent = self._connections.vault().connection(stored[0]) if stored else None
            key = key_on_this_machine("HF_TOKEN") or (lent.key if lent else None)
        if key is None:
            raise CredentialError(
                "Publishing needs a Hugging Face token. Add one under Models and keys, or set HF_TOKEN."
            )
        return key.get_secret_value()


def _dataset(path: Any) -> Any:
    from datasets import Dataset, DatasetDict

    return DatasetDict({"train": Dataset.from_parquet(str(path), cache_dir=str(path.parent))})


def _pushed(distiset: Distiset, repo_id: str, private: bool, token: str) -> str:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    failure: ProviderError | None = None
    try:
        return distiset.push_to_hub(repo_id, private=private, token=token)
    except StillroomError:
        raise
    except HfHubHTTPError as error:
        # The error of the library holds the request and its token, so ours is raised outside the `except`.
        failure = _refused(repo_id, error.response.status_code if error.response is not None else 0)
    except (httpx2.HTTPError, OSError):
        failure = ProviderDown("The Hub cannot be reached. Try again in a moment.", provider="Hugging Face")
    raise failure


def _refused(repo_id: str, status: int) -> ProviderError:
    if status == 401:
        return CredentialError("The Hub did not accept the token. Check it.", provider="Hugging Face", status=status)
    if status == 403:
        return CredentialError(
            f"The token may not write to {repo_id}. It needs the right to write there.",
            provider="Hugging Face",
            status=status,
        )
    return ProviderError(f"The Hub refused the upload (error {status}).", provider="Hugging Face", status=status)
