"""What is measured of a pool over time. None is "not yet measured"."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Rates and times of a pool."""

    arrivals_per_second: float | None = None
    """Sustained rate of arrivals: a single burst does not raise it."""
    arrivals_upper_per_second: float | None = None
    """What the rate may be as well, given how few arrivals were seen."""
    service_seconds: float | None = None
    """Mean time of a task in a slot, by Little's law."""
    cold_start_seconds: float | None = None
    """From the decision to a pod's first heartbeat, 90th percentile of the last starts."""
    keep_alive_seconds: float | None = None
    """How long the last idle pod stays: learned from the gaps between tasks."""
    oldest_wait_seconds: float | None = None
    """How long the oldest waiting task has waited, in order of arrival; 0 when none waits."""
    wait_seconds: float | None = None
    """How long the newest waiting task will wait with the pods that are there or starting."""
    miss_probability: float | None = None
    """P(wait > objective) of a task that arrives in the steady state, with the decided replicas (Erlang C)."""
