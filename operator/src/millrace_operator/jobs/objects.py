"""The PredictionJobs in the cluster, through the operator's Kubernetes client."""

from collections.abc import Mapping
from typing import Any, Protocol

from millrace_contracts.resources import GROUP, PREDICTION_JOBS, VERSION
from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import ObjectNotFound
from millrace_operator.jobs.steps import JobEvent


class _Clock(Protocol):
    def now(self) -> Any: ...


class ApiJobObjects:
    """Reads and writes PredictionJobs; raises KubernetesError."""

    def __init__(self, kubernetes: KubernetesApi, clock: _Clock) -> None:
        self._kubernetes = kubernetes
        self._clock = clock

    async def replace_status(self, job: PredictionJob, status: Mapping[str, Any]) -> str:
        """Replace the job's status and return its new resourceVersion; another job of that name keeps its own."""
        body = await self._kubernetes.replace_status(
            PREDICTION_JOBS, namespace=job.namespace, name=job.name, uid=job.uid, status=status
        )
        return str(body["metadata"]["resourceVersion"])

    async def record_event(self, job: PredictionJob, event: JobEvent) -> None:
        """Attach an Event to the job."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "PredictionJob",
            "metadata": {
                "namespace": job.namespace,
                "name": job.name,
                "uid": job.uid,
                "resourceVersion": job.resource_version,
            },
        }
        now = self._clock.now().timestamp()
        await self._kubernetes.record_event(body, type_=event.type, reason=event.reason, message=event.message, now=now)

    async def delete(self, job: PredictionJob) -> None:
        """Delete exactly this job; one that is gone already is no error."""
        try:
            await self._kubernetes.delete_object(PREDICTION_JOBS, namespace=job.namespace, name=job.name, uid=job.uid)
        except ObjectNotFound:
            return

    async def find_uid(self, *, namespace: str, name: str) -> str | None:
        """Ask the API which job has this name now."""
        try:
            body = await self._kubernetes.get_object(PREDICTION_JOBS, namespace=namespace, name=name)
        except ObjectNotFound:
            return None
        return str(body["metadata"]["uid"])
