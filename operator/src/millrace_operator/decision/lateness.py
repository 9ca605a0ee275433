"""Whether a pod that is started for a task comes in time for it. Pure."""

from typing import Final

from millrace_operator.api.worker_pool import Objective

DECISION_SECONDS: Final = 1.0
"""From the arrival of a task to the decision to start a pod for it."""


def wait_for_a_start(cold_start_seconds: float) -> float:
    """Return how long the task waits, in seconds, for which a pod is started."""
    return cold_start_seconds + DECISION_SECONDS


def comes_too_late(cold_start_seconds: float, objective: Objective) -> bool:
    """Say whether the task for which a pod is started misses the objective, whatever is done."""
    return wait_for_a_start(cold_start_seconds) >= objective.wait_seconds
