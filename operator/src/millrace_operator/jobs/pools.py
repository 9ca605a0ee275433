"""Look up the WorkerPools of a namespace as jobs see them. Pure.

Whether the broker answers is read from the pool's own condition: its loop asks the broker each second, so the jobs
need not.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from millrace_operator.api.conditions import find_condition
from millrace_operator.jobs.readings import PoolView

METRICS_AVAILABLE: Final = "MetricsAvailable"

Pools = Mapping[str, Mapping[str, PoolView]]
"""namespace -> name -> pool."""


def index_pools(bodies: Iterable[Mapping[str, Any]]) -> Pools:
    """Index pools by namespace and name."""
    pools: dict[str, dict[str, PoolView]] = {}
    for body in bodies:
        metadata = body["metadata"]
        if not metadata.get("deletionTimestamp"):
            pools.setdefault(metadata["namespace"], {})[metadata["name"]] = view_pool(body)
    return pools


def view_pool(body: Mapping[str, Any]) -> PoolView:
    """View an object of the API as a pool that takes jobs."""
    status = body.get("status") or {}
    metrics = find_condition(status.get("conditions") or (), METRICS_AVAILABLE)
    is_blind = metrics is not None and metrics.get("status") == "False"
    return PoolView(
        name=body["metadata"]["name"],
        queue=body["spec"]["queue"],
        ready_replicas=int(status.get("readyReplicas") or 0),
        broker_trouble=str(metrics.get("message", "")) if is_blind and metrics is not None else "",
    )
