"""Vectors by batch jobs, for a script."""

from collections.abc import Sequence

from components.embeddings import OpenAIEmbeddings
from components.embeddings.batch import check_batches
from components.errors import OfflineBatchError
from components.pipeline.batch.offline import found_offline


def encode_offline(model: OpenAIEmbeddings, inputs: Sequence[str]) -> list[list[float]]:
    """What `encode` does for a model that works offline; the same inputs find the same jobs in any process.

    Raises: OfflineBatchNotFinished while jobs are out; OfflineBatchError when they wait for a person, and when
    a text came back without a vector, since none may be left out of the list.
    """
    found = found_offline(model, inputs, 1, {}, allow=lambda _cost: check_batches(model))
    failed = [(number, one.message) for number, one in enumerate(found, 1) if one.output is None]
    if failed:
        number, message = failed[0]
        # A row of a script has no name but its place, counted from 0, which is said already.
        message = message.removeprefix(f"Row {number - 1}: ")
        raise OfflineBatchError(
            f"{len(failed):,} of {len(inputs):,} inputs came back without a vector. Input {number}: {message} "
            "The others are kept. `stillroom batches retry` asks for these again, or leave them out."
        )
    return [one.output for one in found]
