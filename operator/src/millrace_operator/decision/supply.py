"""What the pods that are there, or on their way, can do by a moment. Pure."""

from dataclasses import dataclass
from typing import Final

from millrace_operator.model.pool_state import PoolState

LATE_SHARE: Final = 0.25
"""A pod that is later than the cold start is expected within this share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Slots now and slots to come."""

    concurrency: int
    ready: int
    """Pods that take tasks."""
    ready_in_seconds: tuple[float, ...]
    """For each pod on its way: in how many seconds it will take tasks."""

    @property
    def pods(self) -> int:
        """Pods there or on their way."""
        return self.ready + len(self.ready_in_seconds)

    def slot_seconds_within(self, seconds: float) -> float:
        """Sum the time that all slots have within the coming `seconds`."""
        starting = sum(max(0.0, seconds - each) for each in self.ready_in_seconds)
        return self.concurrency * (self.ready * seconds + starting)


def supply_of(state: PoolState, *, concurrency: int, cold_start_seconds: float, now: float) -> Supply:
    """Look at a pool's pods as supply; those asked for that do not exist yet have the whole cold start ahead."""
    coming = [_remaining(cold_start_seconds, now - since) for since in state.starting_since]
    missing = state.asked - state.ready - state.draining - len(coming) - state.unschedulable
    coming.extend([cold_start_seconds] * max(0, missing))
    return Supply(concurrency=concurrency, ready=state.ready, ready_in_seconds=tuple(coming))


def _remaining(cold_start_seconds: float, age: float) -> float:
    return max(cold_start_seconds - age, LATE_SHARE * cold_start_seconds)
