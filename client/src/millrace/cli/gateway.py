"""Find the gateway of a release in the cluster, its key, and a way to it."""

import base64
import binascii
from typing import Any, Final

from millrace.cli.errors import UsageInvalid
from millrace.cli.kubernetes_api import Cluster, Resource
from millrace.cli.tunnel import PodTransport
from millrace.client import Client
from millrace.errors import NotFound, Unavailable

LABELS: Final = "app.kubernetes.io/part-of=millrace,app.kubernetes.io/component=gateway"
KEY_FIELD: Final = "admin-api-key"
PORT_NAME: Final = "http"
_IN_TUNNEL: Final = "http://gateway.millrace"


def open_client(cluster: Cluster, *, release: str | None, api_key: str | None) -> Client:
    """Open a client that reaches a pod of the release's gateway through the API server."""
    selector = f"{LABELS},app.kubernetes.io/instance={release}" if release else LABELS
    service = _only_service(cluster, selector)
    pod = _ready_pod(cluster, service)
    key = api_key or _find_key(cluster, service)
    transport = PodTransport(cluster, pod=pod["metadata"]["name"], port=_port(service, pod))
    return Client(_IN_TUNNEL, api_key=key, transport=transport)


def _only_service(cluster: Cluster, selector: str) -> Resource:
    services = cluster.core("services", selector=selector)
    if not services:
        raise NotFound(
            f"there is no gateway in namespace {cluster.namespace!r}; `-n NAMESPACE` chooses the release's namespace, "
            "--url another gateway, and the chart value gateway.enabled installs one"
        )
    if len(services) > 1:
        releases = ", ".join(sorted(str(_release_of(each)) for each in services))
        raise UsageInvalid(f"namespace {cluster.namespace!r} has several gateways; choose with --release: {releases}")
    return services[0]


def _ready_pod(cluster: Cluster, service: Resource) -> Resource:
    selector = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
    pods = cluster.core("pods", selector=selector)
    ready = [pod for pod in pods if _is_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
    if not ready:
        raise Unavailable(
            f"no pod of the gateway is ready ({len(pods)} exist); "
            f"`kubectl describe pods -n {cluster.namespace} -l {LABELS}` says why"
        )
    return ready[0]


def _is_ready(pod: Resource) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _port(service: Resource, pod: Resource) -> int:
    ports = service["spec"]["ports"]
    chosen = next((each for each in ports if each.get("name") == PORT_NAME), ports[0])
    target: Any = chosen.get("targetPort", chosen["port"])
    if isinstance(target, int):
        return target
    named = (
        each["containerPort"]
        for container in pod["spec"]["containers"]
        for each in container.get("ports") or []
        if each.get("name") == target
    )
    return int(next(named, chosen["port"]))


def _find_key(cluster: Cluster, service: Resource) -> str:
    """Answer the key of the release's Secret; empty where there is none, as where the gateway asks for none."""
    selector = f"{LABELS},app.kubernetes.io/instance={_release_of(service)}"
    for secret in cluster.core("secrets", selector=selector):
        encoded = (secret.get("data") or {}).get(KEY_FIELD)
        if encoded:
            try:
                return base64.b64decode(encoded, validate=True).decode().strip()
            except (binascii.Error, UnicodeDecodeError) as error:
                name = secret["metadata"]["name"]
                raise Unavailable(f"{KEY_FIELD} of secret {name!r} is not text; give --api-key") from error
    return ""


def _release_of(service: Resource) -> str:
    return str(service["metadata"].get("labels", {}).get("app.kubernetes.io/instance", ""))
