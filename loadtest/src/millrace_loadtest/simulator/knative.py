"""Knative's pod autoscaler (KPA), as read from its source. It has no broker; it is given the tasks in the system."""

import math
from collections import deque
from random import Random
from typing import Final

from millrace_loadtest.simulator.pool import Phase, SimulatedPool
from millrace_loadtest.simulator.scaler import Goal, as_kubernetes_does, begin_with, write_replicas

TICK_SECONDS: Final = 2.0
STABLE_SECONDS: Final = 60.0
PANIC_SECONDS: Final = 6.0
PANIC_THRESHOLD: Final = 2.0
UTILISATION: Final = 0.7
MAX_UP_RATE: Final = 1000.0
MAX_DOWN_RATE: Final = 2.0
TO_ZERO_GRACE_SECONDS: Final = 30.0


class Knative:
    """One revision with as many requests at once in a pod as it has slots."""

    def __init__(self, goal: Goal, *, grace_seconds: float, chance: Random) -> None:
        self._goal = goal
        self._grace_seconds = grace_seconds
        self._chance = chance
        self._next_at = chance.uniform(0, TICK_SECONDS)
        self._seen: deque[tuple[float, int]] = deque()
        self._panic_until = -math.inf
        self._panic_replicas = 0
        self._zero_since: float | None = None

    def begin(self, pool: SimulatedPool) -> None:
        """Start with none."""
        begin_with(pool, 0)

    @property
    def next_at(self) -> float:
        """When the next tick is."""
        return self._next_at

    def act(self, pool: SimulatedPool) -> None:
        """Look at the concurrency of the stable and of the panic window."""
        self._next_at += TICK_SECONDS
        now = pool.now
        self._seen.append((now, pool.in_system))
        while self._seen[0][0] <= now - STABLE_SECONDS:
            self._seen.popleft()
        ready = max(1, sum(pod.phase is Phase.SERVING for pod in pool.pods))
        stable, panic = self._desired(now, STABLE_SECONDS, ready), self._desired(now, PANIC_SECONDS, ready)
        if panic / ready >= PANIC_THRESHOLD:
            self._panic_until = now + STABLE_SECONDS
        if now < self._panic_until:
            self._panic_replicas = max(self._panic_replicas, stable, panic, len(pool.alive))
            wanted = self._panic_replicas
        else:
            self._panic_replicas, wanted = 0, stable
        self._write(pool, min(wanted, self._goal.max_replicas))

    def _desired(self, now: float, window: float, ready: int) -> int:
        values = [tasks for at, tasks in self._seen if at > now - window]
        target = self._goal.concurrency * UTILISATION
        desired = math.ceil(sum(values) / len(values) / target)
        return int(max(min(desired, math.ceil(ready * MAX_UP_RATE)), math.floor(ready / MAX_DOWN_RATE)))

    def _write(self, pool: SimulatedPool, wanted: int) -> None:
        if wanted or not pool.alive:
            self._zero_since = None
        elif self._zero_since is None:
            self._zero_since = pool.now
        if self._zero_since is not None and pool.now - self._zero_since < TO_ZERO_GRACE_SECONDS:
            wanted = 1
        write_replicas(pool, wanted, removal=as_kubernetes_does, grace_seconds=self._grace_seconds, chance=self._chance)
