"""How Millrace brings a pool to a number of replicas: up at once, down by draining pods that are idle.

A victim is told to take no more tasks, and `replicas` are lowered when it was seen to hold nothing; if load returns
first it is told to go on. Where nobody is idle for long (an overloaded pool that must give replicas to another one),
some pods take no more tasks, finish what they have, and go then.
"""

from typing import Final

from millrace_loadtest.simulator.pool import Phase, Pod, SimulatedPool

DRAIN_SECONDS: Final = 2.0
"""From the order to take no more tasks until heartbeats and consumer count have confirmed that a pod holds nothing."""
CONSOLIDATE_AFTER_SECONDS: Final = 15.0


class Actuator:
    """Of one pool."""

    def __init__(self) -> None:
        self._nobody_idle_since: float | None = None

    def bring(self, pool: SimulatedPool, replicas: int) -> None:
        """Do the next step towards a number of replicas."""
        alive = pool.alive
        draining = [pod for pod in alive if pod.draining_since is not None]
        staying = [pod for pod in alive if pod.draining_since is None]
        if replicas > len(staying):
            for pod in sorted(draining, key=_drained_last)[: replicas - len(staying)]:
                pool.rearm(pod)
        if replicas > len(alive):
            pool.ledger.wrote(pool.now, len(alive), replicas)
            pool.add(replicas - len(alive))
            return
        starting = sum(pod.phase is Phase.STARTING for pod in alive)
        # Kubernetes would take a pod that starts before any ready one, and it cannot be told to take no task.
        self._drain_idle(pool, staying, len(staying) - replicas - starting)
        gone = [pod for pod in draining if _has_drained(pod, pool.now)] if not starting else []
        if gone:
            pool.ledger.wrote(pool.now, len(alive), len(alive) - len(gone))
            pool.stop(gone, grace_seconds=pool.traits.grace_seconds)

    def _drain_idle(self, pool: SimulatedPool, pods: list[Pod], number: int) -> None:
        newest_first = sorted(pods, key=lambda pod: -pod.created_at)
        idle = [pod for pod in newest_first if pod.phase is Phase.SERVING and not pod.running]
        if number <= 0 or idle:
            self._nobody_idle_since = None
        elif self._nobody_idle_since is None:
            self._nobody_idle_since = pool.now
        elif pool.now - self._nobody_idle_since >= CONSOLIDATE_AFTER_SECONDS:
            idle = sorted((pod for pod in newest_first if pod.running), key=lambda pod: len(pod.running))
        for pod in idle[: max(0, number)]:
            pool.drain(pod)


def _has_drained(pod: Pod, now: float) -> bool:
    """Tell whether a draining pod was seen to hold nothing, by now."""
    is_over = pod.draining_since is not None and now - pod.draining_since >= DRAIN_SECONDS - 1e-6
    return is_over and pod.is_deaf and not pod.running


def _drained_last(pod: Pod) -> float:
    return -(pod.draining_since or 0.0)
