"""Share a budget among pools by priority, so that none starves and the total is never exceeded. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one pool has of a budget and would like to have."""

    pool: str
    priority: int
    """Weight, at least 1."""
    units_per_replica: int
    held: int
    """Replicas that exist or were asked for, whichever is more: what is given to others must be free first."""
    wanted: int
    """Replicas."""
    floor: int = 0
    """minReplicas: served before anything is shared by weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How many replicas a pool may have."""

    share: int
    """What is its due in the long run: a pool that holds more drains down to it when others want more."""
    ceiling: int
    """What it may ask for now: never more than what is free besides what it holds."""


def share_budget(capacity: int, claims: Sequence[Claim]) -> Mapping[str, Grant]:
    """Grant replicas by weighted max-min fairness, in whole replicas; `capacity` is in units."""
    raise NotImplementedError
