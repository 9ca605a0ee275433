"""Look at everything that a pass decides from, for all pools together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.reading import Reading
from millrace_operator.model.worker import Worker
from millrace_operator.pools.pods import WorkersByPod, workers_by_pod, workers_of
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.pools.snapshot import Snapshot
from millrace_operator.pools.workload import Key

LEAST_HORIZON_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen, and when."""

    now: float
    readings: Mapping[Key, Reading]
    workers: WorkersByPod
    is_listening: bool
    """Every worker that lives must have been heard by now."""
    outlooks: Mapping[str, Outlook]
    """By queue."""
    loads: Mapping[Key, InferenceLoad | None]


async def look(context: PoolLoopContext, snapshot: Snapshot, *, horizon_seconds: float) -> Sight:
    """Read queues, workers, what comes, and Triton."""
    readings = await context.sources.observe(snapshot.pools, workers=_heard(context, snapshot))
    with_triton = {
        pool.key: (pool.triton, [pod.ip for pod in snapshot.pods_of(pool) if pod.is_ready and pod.ip])
        for pool in snapshot.pools
        if pool.triton is not None
    }
    loads = await context.inference.loads(with_triton) if with_triton else {}
    # After the queues: a task that was seen there must not be taken for all of its job.
    await context.held_back.look_again()
    now = context.clock.now().timestamp()
    return Sight(
        now=now,
        readings=readings,
        workers=workers_by_pod(context.heartbeats.workers(now)),
        is_listening=context.heartbeats.is_settled(now),
        outlooks=context.future.outlook(
            snapshot.queues, now, horizon_seconds=max(horizon_seconds, LEAST_HORIZON_SECONDS)
        ),
        loads=loads,
    )


def heard_in(snapshot: Snapshot, pool: WorkerPool, workers: WorkersByPod) -> tuple[Worker, ...]:
    """Find the workers of a pool's pods."""
    return tuple(worker for pod in snapshot.pods_of(pool) for worker in workers_of(pod, workers))


def _heard(context: PoolLoopContext, snapshot: Snapshot) -> dict[Key, Sequence[Worker]]:
    """Tell sources without counters who works; a pool with ready pods that are all silent is left out."""
    pools = [pool for pool in snapshot.pools if pool.source.type is not SourceType.RABBITMQ]
    workers = workers_by_pod(context.heartbeats.workers(context.clock.now().timestamp())) if pools else {}
    heard: dict[Key, Sequence[Worker]] = {}
    for pool in pools:
        found = heard_in(snapshot, pool, workers)
        if found or not any(pod.is_ready for pod in snapshot.pods_of(pool)):
            heard[pool.key] = found
    return heard
