"""From raw pods to what a decision needs to know of them. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from millrace_contracts.resources import DRAINING_SINCE, POD_DELETION_COST
from millrace_operator.api.timestamps import to_epoch_seconds
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.worker import Worker
from millrace_operator.pools.workload import Key, Workload

HOSTNAME_LIMIT: Final = 63
"""Longer names of pods are cut by the kubelet where they become the host name, and so Celery's node name."""
POD_TEMPLATE_HASH: Final = "pod-template-hash"
FAILURES_TO_START: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "RunContainerError",
    }
)
"""Why a container waits, where the kubelet has tried in vain (Kubernetes, pkg/kubelet)."""
_ENDED: Final = frozenset({"Succeeded", "Failed"})

WorkersByPod = Mapping[str, tuple[Worker, ...]]


def pod_of(body: Mapping[str, Any]) -> tuple[Key, Pod] | None:
    """View a pod, with its Deployment's namespace and name; None for one that has ended or belongs to none."""
    metadata, status = body["metadata"], body.get("status") or {}
    deployment, replica_set = _owners(metadata)
    if not deployment or status.get("phase") in _ENDED:
        return None
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    ready, scheduled = conditions.get("Ready") or {}, conditions.get("PodScheduled") or {}
    annotations = metadata.get("annotations") or {}
    is_ready = ready.get("status") == "True"
    is_unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    pod = Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        created_at=to_epoch_seconds(metadata["creationTimestamp"]),
        is_ready=is_ready,
        ready_since=_seconds(ready.get("lastTransitionTime")) if is_ready else None,
        is_pending=status.get("phase") == "Pending",
        is_stuck=_is_stuck(status),
        is_unschedulable=is_unschedulable,
        unschedulable_message=str(scheduled.get("message", "")) if is_unschedulable else "",
        is_terminating="deletionTimestamp" in metadata,
        replica_set=replica_set,
        draining_since=_seconds(annotations.get(DRAINING_SINCE)),
        deletion_cost=_number(annotations.get(POD_DELETION_COST)),
        ip=status.get("podIP", ""),
    )
    return (metadata["namespace"], deployment), pod


def state_of(
    workload: Workload, pods: tuple[Pod, ...], workers: WorkersByPod, *, asked: int, cold_starts: tuple[float, ...] = ()
) -> PoolState:
    """Put together what a pool has; `asked` may be newer than what the Deployment shows."""
    if not pods:
        # The Deployment's own counts: its pods have not been seen yet, or they cannot be told from others.
        return PoolState(
            asked=asked,
            existing=workload.existing,
            ready=workload.ready,
            is_rolling_out=workload.is_partly_updated,
            cold_starts_seconds=cold_starts,
        )
    active = [pod for pod in pods if not pod.is_terminating]
    stuck = [pod for pod in active if pod.is_unschedulable]
    starting = [pod for pod in active if not pod.is_ready and not pod.is_unschedulable and pod.draining_since is None]
    return PoolState(
        asked=asked,
        existing=len(active),
        ready=sum(pod.is_ready and pod.draining_since is None for pod in active),
        starting_since=tuple(sorted(pod.created_at for pod in starting)),
        draining=sum(pod.draining_since is not None for pod in active),
        busy=_busy(active, workers),
        unschedulable=len(stuck),
        unschedulable_message=stuck[0].unschedulable_message if stuck else "",
        is_rolling_out=workload.is_partly_updated or len({pod.replica_set for pod in active}) > 1,
        cold_starts_seconds=cold_starts,
    )


def workers_of(pod: Pod, workers: WorkersByPod) -> tuple[Worker, ...]:
    """Find the workers whose node names end in this pod's name."""
    found = workers.get(pod.name)
    if found is None and len(pod.name) > HOSTNAME_LIMIT:
        found = workers.get(pod.name[:HOSTNAME_LIMIT].rstrip("-."))
    return found or ()


def workers_by_pod(workers: Mapping[str, Worker]) -> dict[str, tuple[Worker, ...]]:
    """Index the workers by the pod that their node names name."""
    index: dict[str, tuple[Worker, ...]] = {}
    for worker in workers.values():
        index[worker.pod] = (*index.get(worker.pod, ()), worker)
    return index


def _busy(active: list[Pod], workers: WorkersByPod) -> int | None:
    heard = [found for pod in active if (found := workers_of(pod, workers))]
    return sum(any(worker.active for worker in found) for found in heard) if heard else None


def _owners(metadata: Mapping[str, Any]) -> tuple[str, str]:
    template = (metadata.get("labels") or {}).get(POD_TEMPLATE_HASH)
    for owner in metadata.get("ownerReferences") or ():
        name = str(owner.get("name", ""))
        if owner.get("kind") == "ReplicaSet" and template and name.endswith(f"-{template}"):
            return name.removesuffix(f"-{template}"), name
    return "", ""


def _is_stuck(status: Mapping[str, Any]) -> bool:
    containers = [each.get("state") or {} for each in status.get("containerStatuses") or ()]
    before = [each.get("state") or {} for each in status.get("initContainerStatuses") or ()]
    reasons = {(state.get("waiting") or {}).get("reason") for state in (*before, *containers)}
    return not any("running" in state for state in containers) and not FAILURES_TO_START.isdisjoint(reasons)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else to_epoch_seconds(text)
    except ValueError:
        # Somebody wrote something else there by hand: that it stands there is what counts.
        return 0.0


def _number(text: str | None) -> int:
    try:
        return 0 if text is None else int(text)
    except ValueError:
        return 0
