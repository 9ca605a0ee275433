"""What this process remembers of models, so that a task need not ask Triton twice before it can predict.

A memory may be out of date when a new version was loaded meanwhile. So a task believes a refusal only of a description
that it read itself, and reads anew when a version answers that it has not heard of.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final

from millrace_worker.inference.model import ModelClient, ModelSignature

REMEMBERED_SECONDS: Final = 30.0

DESCRIBE_TIMEOUT_SECONDS: Final = 10.0
"""Limit of a question about the model, which Triton answers from memory."""

_MOST: Final = 1000
"""Models of one Triton are few; this bounds what odd names can do to the memory of a worker."""


class KnownModels:
    """Descriptions by name and requested version."""

    def __init__(self, models: Callable[[], ModelClient], *, clock: Callable[[], float] = monotonic) -> None:
        self._models = models
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, ModelSignature]] = {}

    def recall(self, name: str, version: str) -> ModelSignature | None:
        """Answer what is remembered; None when that is nothing, or too old."""
        read_at, signature = self._known.get((name, version), (float("-inf"), None))
        return signature if self._clock() - read_at < REMEMBERED_SECONDS else None

    def describe(self, name: str, version: str) -> ModelSignature:
        """Ask Triton, and remember; raises ModelMissing, ModelUnsuitable or TritonUnavailable."""
        self._known.pop((name, version), None)
        signature = self._models().describe(name, version, timeout_seconds=DESCRIBE_TIMEOUT_SECONDS)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[name, version] = (self._clock(), signature)
        return signature
