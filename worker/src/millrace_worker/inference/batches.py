"""Group encoded records into requests."""

from collections.abc import Mapping
from typing import Final

from millrace_worker.inference.codec import Tensors, shape_of
from millrace_worker.inference.model import ModelSignature

DEFAULT_BATCH_SIZE: Final = 64
"""Rows of a request where the job does not say: most of the gain of batching, at little memory."""


def request_rows(signature: ModelSignature, requested: int | None) -> int:
    """Answer how many records one request may hold."""
    if not signature.batches:
        return 1
    return min(signature.max_batch_size, requested or DEFAULT_BATCH_SIZE)


def group(encoded: Mapping[int, Tensors], *, rows: int) -> list[tuple[int, ...]]:
    """Put records of equal shape together, at most `rows` each and in their order; answers their positions."""
    by_shape: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = {}
    for position, tensors in encoded.items():
        by_shape.setdefault(shape_of(tensors), []).append(position)
    return [tuple(same[i : i + rows]) for same in by_shape.values() for i in range(0, len(same), rows)]
