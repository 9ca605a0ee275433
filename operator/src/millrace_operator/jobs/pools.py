"""Look up the WorkerPools of a namespace as jobs see them. Pure.

Whether the broker answers is read from the pool's own condition: its loop asks the broker each second, so the jobs
need not.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from millrace_operator.api.conditions import find_condition
from millrace_operator.api.timestamps import to_epoch_seconds
from millrace_operator.jobs.readings import PoolView
from millrace_operator.model.reading import Blindness

METRICS_AVAILABLE: Final = "MetricsAvailable"

TROUBLES: Final = frozenset({Blindness.BROKER_UNREACHABLE.value, Blindness.QUEUE_WITHOUT_LEADER.value})
"""Why a queue cannot be read and no worker can take tasks from it either. A queue that is new is no trouble."""

TROUBLE_SECONDS: Final = 5.0
"""One reading that came late is no news for the owner of a job."""

Pools = Mapping[str, Mapping[str, PoolView]]
"""namespace -> name -> pool."""


def index_pools(bodies: Iterable[Mapping[str, Any]], *, namespaces: Collection[str], now: float) -> Pools:
    """Index the pools of these namespaces by namespace and name; those that are being deleted take no jobs."""
    pools: dict[str, dict[str, PoolView]] = {}
    for body in bodies:
        metadata = body["metadata"]
        if metadata["namespace"] in namespaces and not metadata.get("deletionTimestamp"):
            pools.setdefault(metadata["namespace"], {})[metadata["name"]] = view_pool(body, now=now)
    return pools


def view_pool(body: Mapping[str, Any], *, now: float) -> PoolView:
    """View an object of the API as a pool that takes jobs."""
    status, spec = body.get("status") or {}, body["spec"]
    # Removed from the status while the broker does not answer: not known is not empty.
    tasks = status.get("queue") or {}
    return PoolView(
        name=body["metadata"]["name"],
        queue=spec["queue"],
        ready_replicas=int(status.get("readyReplicas") or 0),
        concurrency=int(spec.get("concurrency", 1)),
        max_replicas=int(spec.get("maxReplicas", 1)),
        waiting_tasks=tasks.get("ready"),
        running_tasks=tasks.get("unacked"),
        broker_trouble=_broker_trouble(status, now=now),
    )


def _broker_trouble(status: Mapping[str, Any], *, now: float) -> str:
    metrics = find_condition(status.get("conditions") or (), METRICS_AVAILABLE) or {}
    if metrics.get("status") != "False" or metrics.get("reason") not in TROUBLES:
        return ""
    has_lasted = now - to_epoch_seconds(metrics["lastTransitionTime"]) >= TROUBLE_SECONDS
    return str(metrics.get("message", "")) if has_lasted else ""
