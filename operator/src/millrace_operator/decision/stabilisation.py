"""Delayed off: replicas go only when fewer were enough for a while.

Remembering every demand of the last hours would be much; only those matter that no later one exceeds. So the memory is
a staircase that descends in time: short, and its first step is the highest demand of the window.
"""

from dataclasses import dataclass
from typing import Final

GAUGE_AGE_SECONDS: Final = 6.0
"""RabbitMQ refreshes `unacked` of quorum queues every 5 s: until then a task that was just taken may be in no count."""


@dataclass(frozen=True, slots=True)
class Step:
    """A demand and when it was seen last."""

    at: float
    replicas: int


Staircase = tuple[Step, ...]


def remember(stairs: Staircase, step: Step) -> Staircase:
    """Add the newest demand; what it equals or exceeds needs no memory any more."""
    return (*(older for older in stairs if older.replicas > step.replicas), step)


def forget_before(stairs: Staircase, limit: float) -> Staircase:
    """Drop demands from before `limit`."""
    return tuple(step for step in stairs if step.at >= limit)


def window_seconds(idle_seconds: float) -> float:
    """Lengthen an idle time that is shorter than the age which a reading may have."""
    return max(idle_seconds, GAUGE_AGE_SECONDS)
