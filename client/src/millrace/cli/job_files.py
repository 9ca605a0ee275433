"""Results of a job that are files, on a claim or in an object store: a pod of the system pool reads them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from millrace.errors import Unavailable

if TYPE_CHECKING:
    from millrace.cli.kubernetes_api import Cluster

PODS: Final = "app.kubernetes.io/part-of=millrace,app.kubernetes.io/component=worker,millrace.dev/pool=system"
CONTAINER: Final = "worker"
PROGRAM: Final = "millrace_worker.show_results"


def files_uri(output: dict[str, Any]) -> str:
    """Name the folder or prefix of the results; empty where they are no files."""
    if claim := output.get("persistentVolumeClaim"):
        return f"pvc://{claim['claimName']}/{claim['path'].strip('/')}"
    return str(output.get("objectStore", {}).get("uri", ""))


def result_lines(cluster: "Cluster", uri: str, *, is_failed: bool) -> Iterator[str]:
    """Answer the lines of the results, or of what failed, as they come."""
    # It imports the official client, which takes two seconds that other commands do without.
    from millrace.cli.pod_command import command_lines  # noqa: PLC0415 - see above

    running = [pod for pod in cluster.core("pods", selector=PODS) if _is_ready(pod)]
    if not running:
        raise Unavailable(
            f"no pod of the system pool is ready in namespace {cluster.namespace!r}, which would read {uri}; "
            f"`kubectl get pods -n {cluster.namespace} -l {PODS}` says why"
        )
    command = ["python", "-m", PROGRAM, uri, *(["--failed"] if is_failed else [])]
    yield from command_lines(cluster, running[0]["metadata"]["name"], CONTAINER, command)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_ready and not pod["metadata"].get("deletionTimestamp")
