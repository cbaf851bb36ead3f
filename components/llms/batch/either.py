"""A server of which it is not known whether it has a batch API: each job stays where it was made."""

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from components.errors import CredentialError, ProviderError
from components.llms.batch.calls import Call
from components.llms.batch.caps import caps
from components.llms.batch.local import PATH, LocalBatch
from components.llms.batch.local_job import ID
from components.llms.batch.openai_family import OpenAIFamilyBatch
from components.llms.batch.protocol import BatchLine, BatchProvider, Remote, UnreadableLine

if TYPE_CHECKING:
    from components.llms.batch.wire import Wire


BUSY = frozenset({429, 502, 503, 504})
_asked: dict[str, bool] = {}


def has_batches(account: str, wire: "Callable[[], Wire]") -> bool:
    """Whether a server has a batch API of OpenAI's shape; it is asked once.

    Raises: ProviderError when it cannot be reached or does not take the key, since that answers nothing.
    """
    if account not in _asked:
        _asked[account] = _ask(wire())
    return _asked[account]


def forget() -> None:
    """Ask every server anew."""
    _asked.clear()


def _ask(wire: "Wire") -> bool:
    try:
        data = wire.get("/batches", Call.LOOK, limit=1).data
    except ProviderError as error:
        is_key = isinstance(error, CredentialError) and error.status == 401
        if is_key or error.status is None or error.status in BUSY:
            raise
        return False
    return isinstance(data, Mapping) and isinstance(data.get("data"), list)


class EitherBatch:
    """Jobs at the server or on this machine, told apart by their ids."""

    def __init__(self, remote: OpenAIFamilyBatch, local: LocalBatch, wire: "Wire") -> None:
        self.caps = caps("custom")
        self.account = remote.account
        self._remote = remote
        self._local = local
        self._wire = wire

    def line(self, custom_id: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One line of the input file."""
        provider: BatchProvider = self._local if path == PATH else self._remote
        return provider.line(custom_id, path, body)

    def read_line(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """The name and the body in a line; both kinds have them in the same place."""
        return self._local.read_line(line)

    def upload(self, file: Path, name: str) -> str:
        """Send the input file, or keep it here."""
        with open(file, "rb") as handle:
            first = orjson.loads(handle.readline())
        provider: BatchProvider = self._local if first.get("url") == PATH else self._remote
        return provider.upload(file, name)

    def create(self, input_ref: str, *, file: Path, tag: str, model: str, path: str, n: int, window: str) -> Remote:
        """Make the batch with one request, or begin it here."""
        provider = self._of(input_ref)
        return provider.create(input_ref, file=file, tag=tag, model=model, path=path, n=n, window=window)

    def get(self, batch_id: str) -> Remote:
        """How a batch is doing."""
        return self._of(batch_id).get(batch_id)

    def recent(self, since: float) -> Iterator[Remote]:
        """Batches made since a moment at either place, newest first."""
        there = self._remote.recent(since) if has_batches(self.account, lambda: self._wire) else iter(())
        yield from merge(self._local.recent(since), there, key=lambda one: one.created_at or 0.0, reverse=True)

    def cancel(self, batch_id: str) -> Remote:
        """Cancel a batch."""
        return self._of(batch_id).cancel(batch_id)

    def results(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        """Every line there is, of output and errors alike."""
        yield from self._of(remote.id).results(remote, folder)

    def _of(self, id: str) -> BatchProvider:
        return self._local if ID.fullmatch(id) else self._remote
