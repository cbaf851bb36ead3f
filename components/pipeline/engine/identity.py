"""The identity of a cell: a hash of its inputs and of the step as configured."""

import hashlib
from collections.abc import Sequence

import orjson

from components.pipeline.engine.outcome import to_json
from components.steps.step import METADATA, AnyStep
from components.steps.typing import Row


def step_signature(step: AnyStep) -> str:
    """A hash of all that can change what a step makes, its data too."""
    fingerprint = getattr(step, "fingerprint", None)
    if fingerprint is None:
        return step.signature()
    return hashlib.blake2b(f"{step.signature()}:{fingerprint()}".encode(), digest_size=16).hexdigest()


def cell_key(signature: str, rows: Sequence[Row]) -> str:
    """The identity of the cell that this step makes of these rows."""
    digest = hashlib.blake2b(signature.encode(), digest_size=16)
    for row in rows:
        inputs = {name: value for name, value in row.items() if name != METADATA} if METADATA in row else row
        try:
            digest.update(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS))
        except TypeError:
            digest.update(to_json([inputs], "A row"))
    return digest.hexdigest()
