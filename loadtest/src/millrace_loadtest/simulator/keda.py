"""KEDA 2.21 with the Horizontal Pod Autoscaler, as read from their sources; and that autoscaler alone.

RabbitMQ's statistics are up to 5 s old. KEDA polls: from 0 it asks for one pod, and after the cooldown without load for
none. In between the HPA looks every 15 s: the total divided by the target, within its tolerance, its limits on the way
up and its window on the way down.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Final

from millrace_loadtest.simulator.pool import SimulatedPool
from millrace_loadtest.simulator.scaler import (
    Goal,
    Removal,
    as_kubernetes_does,
    begin_with,
    idle_first,
    write_replicas,
)

STATISTICS_SECONDS: Final = 5.0
SYNC_SECONDS: Final = 15.0
TOLERANCE: Final = 0.1
UP_FACTOR: Final = 2
UP_PODS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class KedaSettings:
    """A ScaledObject with triggers on the length of the queue and, perhaps, on the rate of its messages."""

    length_target: float = 20.0
    """Messages a pod: `value` of QueueLength."""
    rate_target: float | None = None
    """Messages a second and pod: `value` of MessageRate; None: no such trigger."""
    poll_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    window_seconds: float = 300.0
    """stabilizationWindowSeconds of the HPA on the way down."""
    min_replicas: int = 0
    is_idle_first: bool = False
    """Not a setting that exists: what KEDA would be with our order of removal."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What RabbitMQ said last."""

    in_system: int = 0
    arrivals_per_second: float = 0.0


class Keda:
    """One ScaledObject and its HPA."""

    def __init__(self, settings: KedaSettings, goal: Goal, *, grace_seconds: float, chance: Random) -> None:
        self._settings = settings
        self._goal = goal
        self._grace_seconds = grace_seconds
        self._chance = chance
        self._removal: Removal = idle_first if settings.is_idle_first else as_kubernetes_does
        self._seen = Statistics()
        self._arrived = 0
        self._statistics_at = chance.uniform(0, STATISTICS_SECONDS)
        # The HPA alone has no operator that polls.
        self._poll_at = float("inf") if settings.min_replicas else chance.uniform(0, settings.poll_seconds)
        self._sync_at = chance.uniform(0, SYNC_SECONDS)
        self._active_at = -math.inf
        self._recommended: list[tuple[float, int]] = []

    def begin(self, pool: SimulatedPool) -> None:
        """Start with minReplicas."""
        begin_with(pool, self._settings.min_replicas)

    @property
    def next_at(self) -> float:
        """Whatever comes first: new statistics, a poll, a sync."""
        return min(self._statistics_at, self._poll_at, self._sync_at)

    def act(self, pool: SimulatedPool) -> None:
        """Do what is due."""
        if pool.now >= self._statistics_at:
            self._statistics_at += STATISTICS_SECONDS
            self._seen = Statistics(pool.in_system, (pool.arrived - self._arrived) / STATISTICS_SECONDS)
            self._arrived = pool.arrived
        if pool.now >= self._poll_at:
            self._poll_at += self._settings.poll_seconds
            self._poll(pool)
        if pool.now >= self._sync_at:
            self._sync_at += SYNC_SECONDS
            self._sync(pool)

    def _poll(self, pool: SimulatedPool) -> None:
        replicas = len(pool.alive)
        has_rate = self._settings.rate_target is not None and self._seen.arrivals_per_second > 0
        if self._seen.in_system or has_rate:
            self._active_at = pool.now
            if not replicas:
                self._write(pool, 1)
        elif replicas and pool.now - self._active_at > self._settings.cooldown_seconds:
            self._recommended.clear()
            self._write(pool, 0)

    def _sync(self, pool: SimulatedPool) -> None:
        current = len(pool.alive)
        if not current:
            return
        recommended = max(self._proposals(current))
        self._recommended = [
            (at, replicas) for at, replicas in self._recommended if at > pool.now - self._settings.window_seconds
        ]
        self._recommended.append((pool.now, recommended))
        wanted = max(replicas for _, replicas in self._recommended) if recommended < current else recommended
        if wanted < current or recommended > current:
            limit = max(UP_FACTOR * current, current + UP_PODS)
            self._write(pool, max(1, self._settings.min_replicas, min(wanted, limit, self._goal.max_replicas)))

    def _proposals(self, current: int) -> list[int]:
        proposals = [self._proposal(self._seen.in_system, self._settings.length_target, current)]
        if self._settings.rate_target is not None:
            proposals.append(self._proposal(self._seen.arrivals_per_second, self._settings.rate_target, current))
        return proposals

    @staticmethod
    def _proposal(total: float, target: float, current: int) -> int:
        is_tolerable = abs(total / (target * current) - 1) <= TOLERANCE
        return current if is_tolerable else math.ceil(total / target)

    def _write(self, pool: SimulatedPool, replicas: int) -> None:
        write_replicas(pool, replicas, removal=self._removal, grace_seconds=self._grace_seconds, chance=self._chance)
