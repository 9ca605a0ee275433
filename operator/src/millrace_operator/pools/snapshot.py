"""What one pass of the loop works on: all pools and Deployments as they are at one moment. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.model.obstacle import Obstacle
from millrace_operator.model.pool_state import PoolState
from millrace_operator.pools.obstacles import Key, find_obstacles

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All pools that are not being deleted, what they have, and what stands in the way of some."""

    pools: tuple[WorkerPool, ...]
    bodies: Mapping[str, Body]
    """By uid."""
    states: Mapping[Key, PoolState]
    """By namespace and name of the Deployment."""
    obstacles: Mapping[Key, Obstacle]
    """By namespace and name of the pool."""

    def state_of(self, pool: WorkerPool) -> PoolState | None:
        """Find what the pool's Deployment looks like; None without one."""
        return self.states.get((pool.namespace, pool.deployment))

    @property
    def queues(self) -> frozenset[str]:
        """The queues to read."""
        return frozenset(pool.queue for pool in self.pools)


def take_snapshot(
    worker_pools: Iterable[Body], deployments: Iterable[Body], *, default_idle_seconds: float
) -> Snapshot:
    """Look at raw objects as pools and states."""
    bodies = {body["metadata"]["uid"]: body for body in worker_pools if not body["metadata"].get("deletionTimestamp")}
    states = {(body["metadata"]["namespace"], body["metadata"]["name"]): _state(body) for body in deployments}
    pools = tuple(WorkerPool.from_body(body, default_idle_seconds=default_idle_seconds) for body in bodies.values())
    return Snapshot(pools=pools, bodies=bodies, states=states, obstacles=find_obstacles(pools, states))


def _state(deployment: Body) -> PoolState:
    status = deployment.get("status") or {}
    return PoolState(
        asked=int((deployment.get("spec") or {}).get("replicas", 1)),
        existing=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
    )
