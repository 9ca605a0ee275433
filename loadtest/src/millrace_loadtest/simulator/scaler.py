"""What an autoscaler is to the simulation, and the two ways in which pods are chosen to go."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from millrace_loadtest.simulator.pool import Phase, Pod, SimulatedPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the user wants of a pool, whoever scales it."""

    wait_seconds: float = 30.0
    percentile: int = 95
    max_replicas: int = 60
    concurrency: int = 1

    @property
    def tolerated_share(self) -> float:
        """Share of tasks that may wait longer."""
        return 1 - self.percentile / 100


class Scaler(Protocol):
    """One autoscaler of one pool."""

    def begin(self, pool: SimulatedPool) -> None:
        """Make the pods that are there before any load."""

    @property
    def next_at(self) -> float:
        """When it wants to look again."""

    def act(self, pool: SimulatedPool) -> None:
        """Look at the pool and change it."""


class Removal(Protocol):
    """Which pods go first."""

    def __call__(self, pods: Sequence[Pod], *, pool: SimulatedPool, chance: Random) -> list[Pod]:
        """Order pods, those that go first in front."""


def as_kubernetes_does(pods: Sequence[Pod], *, pool: SimulatedPool, chance: Random) -> list[Pod]:
    """Order as the ReplicaSet controller does: not ready, then ready for the shortest time (log 2), then by chance."""

    def rank(pod: Pod) -> tuple[bool, int, float]:
        is_ready = pod.phase is Phase.SERVING
        age = math.frexp(max(1.0, pool.now - pod.ready_at))[1] if is_ready else 0
        return (is_ready, age, chance.random())

    return sorted(pods, key=rank)


def idle_first(pods: Sequence[Pod], *, pool: SimulatedPool, chance: Random) -> list[Pod]:
    """Order pods that start first, then idle ones, then by the shortest remaining task."""

    def rank(pod: Pod) -> tuple[bool, float, float]:
        services = pool.workload.services
        remaining = max((begun + services[task] - pool.now for task, begun in pod.running.items()), default=0.0)
        return (pod.phase is Phase.SERVING, remaining, chance.random())

    return sorted(pods, key=rank)


def write_replicas(
    pool: SimulatedPool, replicas: int, *, removal: Removal, grace_seconds: float, chance: Random
) -> None:
    """Write spec.replicas; Kubernetes starts or stops pods at once."""
    alive = pool.alive
    if replicas == len(alive):
        return
    pool.ledger.wrote(pool.now, len(alive), replicas)
    if replicas > len(alive):
        pool.add(replicas - len(alive))
    else:
        victims = removal(alive, pool=pool, chance=chance)[: len(alive) - replicas]
        pool.stop(victims, grace_seconds=grace_seconds)


def begin_with(pool: SimulatedPool, replicas: int) -> None:
    """Give a pool pods that are ready already."""
    pool.add(replicas, cold_start_seconds=0.0)
