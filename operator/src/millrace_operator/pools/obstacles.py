"""Find the pools that cannot be sized, before anything is read or decided. Pure."""

from collections.abc import Collection, Iterable
from typing import Final

from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.model.obstacle import Obstacle, ObstacleReason
from millrace_operator.pools.workload import Key

_NONE: Final = frozenset[Key]()


def find_obstacles(
    pools: Iterable[WorkerPool], *, workloads: Collection[Key], budgets: Collection[Key] = _NONE
) -> dict[Key, Obstacle]:
    """Find what stands in the way, by pool. Of pools that share a Deployment or a queue the oldest one is sized."""
    obstacles: dict[Key, Obstacle] = {}
    by_queue: dict[tuple[SourceType, str], WorkerPool] = {}
    by_deployment: dict[Key, WorkerPool] = {}
    for pool in sorted(pools, key=lambda each: (each.created, each.key)):
        deployment = (pool.namespace, pool.deployment)
        # Queues are the broker's, so they are shared across namespaces.
        queue = (pool.source.type, pool.queue)
        budget = pool.policy.budget
        if (owner := by_deployment.setdefault(deployment, pool)) is not pool:
            obstacles[pool.key] = _workload_shared(pool, owner)
        elif (owner := by_queue.setdefault(queue, pool)) is not pool:
            obstacles[pool.key] = _queue_shared(pool, owner)
        elif deployment not in workloads:
            obstacles[pool.key] = _workload_not_found(pool)
        elif budget is not None and (pool.namespace, budget.name) not in budgets:
            obstacles[pool.key] = _budget_not_found(pool, budget.name)
    return obstacles


def _budget_not_found(pool: WorkerPool, budget: str) -> Obstacle:
    return Obstacle(
        reason=ObstacleReason.BUDGET_NOT_FOUND,
        message=(
            f"There is no CapacityBudget {budget!r} in namespace {pool.namespace!r}, so the pool keeps its size. "
            "Create it, or correct or remove spec.budgetRef."
        ),
    )


def _workload_not_found(pool: WorkerPool) -> Obstacle:
    return Obstacle(
        reason=ObstacleReason.WORKLOAD_NOT_FOUND,
        message=(
            f"There is no Deployment {pool.deployment!r} in namespace {pool.namespace!r}. "
            "Create it, or name another one in spec.workloadRef.name."
        ),
    )


def _workload_shared(pool: WorkerPool, owner: WorkerPool) -> Obstacle:
    return Obstacle(
        reason=ObstacleReason.WORKLOAD_SHARED,
        message=(
            f"Deployment {pool.deployment!r} is sized by WorkerPool {owner.name!r} already, which is older. "
            "Give this pool a Deployment of its own, or delete one of the two."
        ),
    )


def _queue_shared(pool: WorkerPool, owner: WorkerPool) -> Obstacle:
    return Obstacle(
        reason=ObstacleReason.QUEUE_SHARED,
        message=(
            f"Queue {pool.queue!r} belongs to WorkerPool {owner.namespace}/{owner.name} already, which is older. "
            "Two pools on one queue would both be sized for all of its tasks: give this pool a queue of its own."
        ),
    )
