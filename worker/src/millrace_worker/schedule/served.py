"""Whether anybody is there for what an entry sends: a hint, because what the operator does not see may be there too."""

from collections.abc import Mapping
from typing import Any

import redis
from pydantic import ValidationError

from millrace_contracts.pool_waits import STALE_AFTER_SECONDS, WAITS_KEY, PoolWait
from millrace_contracts.schedules import ScheduleEntry
from millrace_worker.logs import get_logger

log = get_logger(__name__)


def read_pools(client: redis.Redis, *, now: float) -> Mapping[str, str]:
    """Answer the pools that the operator sees now: queue -> name; empty where that is not known."""
    try:
        texts: Any = client.hgetall(WAITS_KEY)
        waits = {queue: PoolWait.model_validate_json(text) for queue, text in _as_text(texts).items()}
    except (redis.RedisError, ValidationError) as error:
        log.info("the pools that there are cannot be read", error=type(error).__name__)
        return {}
    return {queue: wait.pool for queue, wait in waits.items() if now - wait.read_at <= STALE_AFTER_SECONDS}


def hint(entry: ScheduleEntry, pools: Mapping[str, str], *, system_queue: str) -> str:
    """Say that no pool is there for what the entry sends; empty where one is, or where that is not known."""
    if not pools:
        return ""
    if entry.task is not None and entry.task.queue not in {*pools, system_queue}:
        return (
            f'no WorkerPool has the queue "{entry.task.queue}" (there are {_listed(pools)}): its tasks wait there '
            "unless workers of your own take them; correct task.queue, or make a pool for it"
        )
    if entry.job_template is not None:
        reference = entry.job_template.spec.get("workerPoolRef")
        name = reference.get("name") if isinstance(reference, dict) else None
        if name not in pools.values():
            return (
                f'there is no WorkerPool "{name}" (there are {_listed(pools.values())}): its jobs wait until there is '
                "one; correct jobTemplate.spec.workerPoolRef, or make the pool"
            )
    return ""


def _listed(names: Any) -> str:
    return ", ".join(sorted(set(names)))


def _as_text(fields: Mapping[Any, Any]) -> dict[str, Any]:
    # RedBeat's client and ours answer differently.
    return {queue.decode() if isinstance(queue, bytes) else str(queue): text for queue, text in fields.items()}
