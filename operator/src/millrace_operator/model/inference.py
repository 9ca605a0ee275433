"""How the pool's Triton gets on with its requests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceLoad:
    """Where requests spent their time in the last seconds, over all Tritons and models of the pool."""

    requests_per_second: float
    queue_seconds: float
    """Mean time of a request in Triton's queue."""
    compute_seconds: float
    """Mean time of a request in the model, its inputs and outputs included."""

    @property
    def is_saturated(self) -> bool:
        """Tell whether requests wait longer than they are computed: more workers would only lengthen the queue."""
        return self.requests_per_second > 0 and self.queue_seconds > self.compute_seconds
