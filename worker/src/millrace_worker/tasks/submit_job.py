"""Make a PredictionJob from a schedule's template: the only task that asks the Kubernetes API.

The name holds the minute of the tick, so whatever runs twice makes one job. The pod's service account must be allowed
to create PredictionJobs in the template's namespace, which the chart grants to the system pool.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from millrace_contracts import resources
from millrace_contracts.schedules import SubmitJobTask
from millrace_worker.errors import JobRefused, KubernetesUnavailable
from millrace_worker.logs import get_logger

NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SCHEDULE_LABEL: Final = "millrace.dev/schedule"
SCHEDULE_ANNOTATION: Final = "millrace.dev/scheduled-at"
TIMEOUT_SECONDS: Final = 10
HTTP_CONFLICT: Final = 409
COME_AGAIN: Final = frozenset({408, 429})
SERVER_ERRORS_FROM: Final = 500
LONGEST_LABEL: Final = 63

log = get_logger(__name__)


class JobCreator(Protocol):
    """Makes an object through the API server."""

    def __call__(self, namespace: str, body: Mapping[str, Any]) -> bool:
        """Answer whether it is new; raise JobRefused or KubernetesUnavailable."""


def submit_job(task: SubmitJobTask, create: JobCreator, *, own_namespace: Callable[[], str], at: str) -> None:
    """Make the tick's job if it is not there yet."""
    namespace = task.template.metadata.namespace or own_namespace()
    is_new = create(namespace, job_object(task, namespace=namespace, at=at))
    log.info(
        "job of the schedule submitted" if is_new else "job of the schedule is there already",
        schedule=task.schedule,
        namespace=namespace,
        job=task.job_name,
    )


def job_object(task: SubmitJobTask, *, namespace: str, at: str) -> dict[str, Any]:
    """Write the PredictionJob of a tick."""
    metadata = task.template.metadata
    labels = dict(metadata.labels)
    if len(task.schedule) <= LONGEST_LABEL and all(c.isalnum() or c in "-_." for c in task.schedule):
        labels[SCHEDULE_LABEL] = task.schedule.strip("-_.")
    return {
        "apiVersion": f"{resources.GROUP}/{resources.VERSION}",
        "kind": "PredictionJob",
        "metadata": {
            "name": task.job_name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {**metadata.annotations, SCHEDULE_ANNOTATION: at},
        },
        "spec": dict(task.template.spec),
    }


def own_namespace() -> str:
    """Answer the namespace of this pod."""
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise JobRefused(
            "this process has no service account: give the template's metadata.namespace, and let the chart mount "
            "a token into the system pool's pods"
        ) from error


def kubernetes_creator() -> JobCreator:
    """Answer a creator with this pod's service account, or with a kubeconfig outside a cluster."""
    try:
        import kubernetes  # noqa: PLC0415 - only the system pool's image needs it
    except ImportError as error:
        raise JobRefused("this image lacks the client of Kubernetes; install millrace-worker[kubernetes]") from error
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        try:
            kubernetes.config.load_kube_config()
        except kubernetes.config.ConfigException as error:
            raise JobRefused(
                "this process has no service account token; see that the chart mounts one into the system pool's pods"
            ) from error
    api = kubernetes.client.CustomObjectsApi()

    def create(namespace: str, body: Mapping[str, Any]) -> bool:
        # Its client retries by itself, with pauses that nobody sees; the broker does that better.
        try:
            api.create_namespaced_custom_object(
                resources.GROUP,
                resources.VERSION,
                namespace,
                resources.PREDICTION_JOBS,
                dict(body),
                field_validation="Strict",
                _request_timeout=TIMEOUT_SECONDS,
            )
        except kubernetes.client.ApiException as error:
            return _answer(error.status, error.body or error.reason or "", error)
        except (OSError, kubernetes.client.exceptions.OpenApiException, *_transport_errors()) as error:
            raise KubernetesUnavailable(f"the API server does not answer ({type(error).__name__})") from error
        return True

    return create


def _answer(status: int | None, text: str, error: Exception) -> bool:
    """Answer False for a job that is there; raise what any other refusal means."""
    if status == HTTP_CONFLICT:
        return False
    if not status or status in COME_AGAIN or status >= SERVER_ERRORS_FROM:
        raise KubernetesUnavailable(f"the API server cannot make a job now (HTTP {status})") from error
    raise JobRefused(f"the API server refused the job (HTTP {status}): {_message(text)[:1000]}") from error


def _message(text: str) -> str:
    """Answer the sentence of a Status object, or the text as it is."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


def _transport_errors() -> tuple[type[Exception], ...]:
    import urllib3  # noqa: PLC0415 - comes with the client

    return (urllib3.exceptions.HTTPError,)
