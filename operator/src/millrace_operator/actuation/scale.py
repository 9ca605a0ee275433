"""Make a decision true: write replicas, only when they differ."""

from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.model.decision import ScaleOutcome, ScalingDecision


async def scale(
    api: KubernetesApi, *, namespace: str, deployment: str, asked: int, decision: ScalingDecision
) -> ScaleOutcome:
    """Write the decision's replicas unless the Deployment has them or the decision is not binding."""
    if not decision.is_binding or decision.replicas == asked:
        return ScaleOutcome(previous=asked, current=asked)
    try:
        await api.scale_deployment(namespace=namespace, name=deployment, replicas=decision.replicas)
    except ObjectNotFound:
        message = f"Deployment {deployment!r} is gone"
        return ScaleOutcome(previous=asked, current=asked, error=message)
    except KubernetesError as error:
        return ScaleOutcome(previous=asked, current=asked, error=str(error))
    return ScaleOutcome(previous=asked, current=decision.replicas)
