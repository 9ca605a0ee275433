"""What one pass of the loop works on: all pools, their Deployments, pods and budgets as they are at one moment. Pure.

Objects are replaced when they change and never altered, so what was made of one is kept until another takes its place.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from millrace_operator.api.capacity_budget import CapacityBudget
from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.model.obstacle import Obstacle
from millrace_operator.model.pool_state import Pod
from millrace_operator.pools.obstacles import find_obstacles
from millrace_operator.pools.pods import pod_of
from millrace_operator.pools.workload import Key, Workload

Body = Mapping[str, Any]
Bodies = Sequence[Body]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All pools that are not being deleted, what they have, and what stands in the way of some."""

    pools: tuple[WorkerPool, ...] = ()
    bodies: Mapping[str, Body]
    """Of the pools, by uid."""
    workloads: Mapping[Key, Workload]
    """By namespace and name of the Deployment."""
    pods: Mapping[Key, tuple[Pod, ...]]
    """By namespace and name of the Deployment."""
    budgets: Mapping[Key, CapacityBudget]
    obstacles: Mapping[Key, Obstacle]
    """By namespace and name of the pool."""
    queues: frozenset[str]

    def workload_of(self, pool: WorkerPool) -> Workload | None:
        """Find what the pool's Deployment looks like; None without one."""
        return self.workloads.get((pool.namespace, pool.deployment))

    def pods_of(self, pool: WorkerPool) -> tuple[Pod, ...]:
        """Find the pods of the pool's Deployment."""
        return self.pods.get((pool.namespace, pool.deployment), ())


class Snapshots:
    """Takes snapshots, and makes anew only what changed since the last one."""

    def __init__(self, *, default_idle_seconds: float | None) -> None:
        self._pools = _Kept(lambda body: WorkerPool.from_body(body, default_idle_seconds=default_idle_seconds))
        self._workloads = _Kept(Workload.from_body)
        self._pods = _Kept(pod_of)
        self._budgets = _Kept(CapacityBudget.from_body)
        self._seen: tuple[Bodies, ...] = ()
        self._last: Snapshot | None = None

    def take(self, *, worker_pools: Bodies, deployments: Bodies, pods: Bodies, budgets: Bodies) -> Snapshot:
        """Look at raw objects as pools and what they have."""
        seen = (worker_pools, deployments, pods, budgets)
        if self._last is not None and all(new is old for new, old in zip(seen, self._seen, strict=True)):
            return self._last
        self._seen, self._last = seen, self._make(worker_pools, deployments, pods, budgets)
        return self._last

    def _make(self, worker_pools: Bodies, deployments: Bodies, pods: Bodies, budgets: Bodies) -> Snapshot:
        living = [body for body in worker_pools if not body["metadata"].get("deletionTimestamp")]
        made = self._pools.make(living)
        workloads = dict(zip(map(_key, deployments), self._workloads.make(deployments), strict=True))
        known = {each.key: each for each in self._budgets.make(budgets)}
        return Snapshot(
            pools=made,
            bodies={body["metadata"]["uid"]: body for body in living},
            workloads=workloads,
            pods=_by_deployment(each for each in self._pods.make(pods) if each is not None),
            budgets=known,
            obstacles=find_obstacles(made, workloads=workloads, budgets=known),
            queues=frozenset(pool.queue for pool in made),
        )


class _Kept(Generic[Made]):
    """What was made of each object, until the object is another one."""

    def __init__(self, make: Callable[[Body], Made]) -> None:
        self._make = make
        self._made: dict[str, tuple[Body, Made]] = {}

    def make(self, bodies: Bodies) -> tuple[Made, ...]:
        before = self._made
        self._made = {}
        for body in bodies:
            uid = body["metadata"]["uid"]
            known = before.get(uid)
            self._made[uid] = known if known is not None and known[0] is body else (body, self._make(body))
        return tuple(made for _, made in self._made.values())


def _by_deployment(pods: Iterable[tuple[Key, Pod]]) -> dict[Key, tuple[Pod, ...]]:
    grouped: dict[Key, list[Pod]] = {}
    for deployment, pod in pods:
        grouped.setdefault(deployment, []).append(pod)
    return {deployment: tuple(each) for deployment, each in grouped.items()}


def _key(body: Body) -> Key:
    return (body["metadata"]["namespace"], body["metadata"]["name"])
