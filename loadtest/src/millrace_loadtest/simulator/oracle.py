"""A policy that knows the true rate of the coming seconds, and batches before they come. No autoscaler can do that."""

import math
from functools import lru_cache
from random import Random
from typing import Final

from millrace_loadtest.simulator.pool import SimulatedPool
from millrace_loadtest.simulator.scaler import Goal, begin_with, idle_first, write_replicas

TICK_SECONDS: Final = 2.0


class Oracle:
    """Erlang staffing for the highest rate within the coming cold start; no delay on the way down."""

    def __init__(self, goal: Goal, *, chance: Random) -> None:
        self._goal = goal
        self._chance = chance
        self._next_at = 0.0
        self._held = 0

    def begin(self, pool: SimulatedPool) -> None:
        """Start with none."""
        begin_with(pool, 0)

    @property
    def next_at(self) -> float:
        """When the next tick is."""
        return self._next_at

    def act(self, pool: SimulatedPool) -> None:
        """Ask for what the coming seconds need."""
        self._next_at += TICK_SECONDS
        wanted = min(self._staffing(pool) + self._for_batches(pool), self._goal.max_replicas)
        wanted = max(wanted, 1 if pool.in_system else 0)
        write_replicas(pool, wanted, removal=idle_first, grace_seconds=math.inf, chance=self._chance)

    def _staffing(self, pool: SimulatedPool) -> int:
        load, ahead = pool.workload, int(pool.traits.cold_start_seconds)
        rate = max(load.rate(pool.now + later) for later in range(0, ahead + 1, 2))
        service = load.service_seconds
        slots = slots_for(
            round(rate * service, 3),
            patience=self._goal.wait_seconds / 2 / service if service else 0.0,
            tolerated_share=self._goal.tolerated_share,
        )
        return math.ceil(slots / self._goal.concurrency)

    def _for_batches(self, pool: SimulatedPool) -> int:
        """Pods for a batch: from a cold start before it until its last task has begun, then those that run."""
        load = pool.workload
        if not load.batches:
            return 0
        service = load.service_seconds
        for at, tasks in load.batches:
            if pool.now - TICK_SECONDS < at <= pool.now + pool.traits.cold_start_seconds + TICK_SECONDS:
                needed = math.ceil(tasks * service / max(self._goal.wait_seconds, service))
                self._held = max(self._held, needed)
                return self._held
        if not pool.waiting:
            self._held = math.ceil(pool.running / self._goal.concurrency)
        return self._held


@lru_cache(maxsize=100_000)
def slots_for(load: float, *, patience: float, tolerated_share: float) -> int:
    """Return the fewest slots with which no more than a share of tasks waits longer than `patience` service times."""
    if load <= 0:
        return 0
    slots = max(1, math.ceil(load))
    while slots <= load or erlang_c(slots, load) * math.exp(-(slots - load) * patience) > tolerated_share:
        slots += 1
    return slots


def erlang_c(slots: int, load: float) -> float:
    """Return the probability that a task finds every slot taken, for `load` Erlang and load < slots."""
    blocked = 1.0
    for n in range(1, slots + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1 - load / slots * (1 - blocked))
