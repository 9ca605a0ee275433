"""Delayed off: replicas go only when fewer were enough for a while, and one alone only after twice that time.

Remembering every demand of the last hours would be much; only those matter that no later one exceeds. So the memory is
a staircase that descends in time: short, and its first step is the highest demand of the window.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A demand and when it was seen last."""

    at: float
    replicas: int


Staircase = tuple[Step, ...]


def remember(stairs: Staircase, step: Step, *, delay_seconds: float) -> Staircase:
    """Add the newest demand; what it equals or exceeds, and what is too old to count, needs no memory any more."""
    limit = step.at - 2 * delay_seconds
    higher = tuple(older for older in stairs if older.replicas > step.replicas and older.at >= limit)
    # A demand that holds for some time to come outlasts this one.
    lasting = tuple(older for older in stairs if older.replicas <= step.replicas and older.at > step.at)
    is_outlasted = any(older.replicas == step.replicas for older in lasting)
    return (*higher, *lasting) if is_outlasted else (*higher, step, *lasting)


def stabilised(stairs: Staircase, *, asked: int, delay_seconds: float, now: float) -> int:
    """Take the highest demand of the delay; where that is one replica less than now, of twice the delay."""
    recent = next(step.replicas for step in stairs if step.at >= now - delay_seconds)
    if recent != asked - 1 or recent == 0:
        return recent
    return min(asked, stairs[0].replicas)
