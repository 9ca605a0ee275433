"""What a pool's Deployment looks like now."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """Replicas of the Deployment, read from it and never from our own status."""

    asked: int
    """spec.replicas: what was asked for last, by whomever."""
    existing: int = 0
    ready: int = 0
