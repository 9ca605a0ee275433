"""What is written on pods that are to go: two annotations, for Kubernetes and for the operator that comes after."""

from typing import Final

from millrace_contracts.resources import DRAINING_SINCE, POD_DELETION_COST
from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.api.timestamps import to_rfc3339

NOTHING: Final[dict[str, str | None]] = {DRAINING_SINCE: None, POD_DELETION_COST: None}


async def mark_draining(api: KubernetesApi, *, namespace: str, pod: str, since: float) -> None:
    """Write that a pod takes no more tasks; it outlives this operator."""
    await api.annotate_pod(namespace=namespace, name=pod, annotations={DRAINING_SINCE: to_rfc3339(since)})


async def mark_for_deletion(api: KubernetesApi, *, namespace: str, pod: str, since: float, cost: int) -> None:
    """Write that a pod is to go before all that cost more; Kubernetes looks at it when replicas are lowered."""
    annotations = {DRAINING_SINCE: to_rfc3339(since), POD_DELETION_COST: str(cost)}
    await api.annotate_pod(namespace=namespace, name=pod, annotations=annotations)


async def unmark(api: KubernetesApi, *, namespace: str, pod: str) -> None:
    """Take both marks away from a pod that works again."""
    await api.annotate_pod(namespace=namespace, name=pod, annotations=NOTHING)
