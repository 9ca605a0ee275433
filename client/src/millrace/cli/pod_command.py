"""Run a command in a pod of the cluster and read what it writes, as `kubectl exec` does."""

from collections.abc import Iterator, Sequence
from io import BytesIO

from kubernetes import client, stream
from kubernetes.client.exceptions import ApiException

from millrace.cli.errors import OutcomeFailed
from millrace.cli.kubernetes_api import Cluster
from millrace.cli.official_client import official_client
from millrace.errors import Unavailable

WAIT_SECONDS = 60


def command_lines(cluster: Cluster, pod: str, container: str, command: Sequence[str]) -> Iterator[str]:
    """Answer the lines of the command's output as they come; raises OutcomeFailed with its last words if it fails."""
    core = client.CoreV1Api(official_client(cluster))
    try:
        running = stream.stream(
            core.connect_get_namespaced_pod_exec,
            pod,
            cluster.namespace,
            container=container,
            command=list(command),
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            # A character may be cut in two by the frames.
            binary=True,
            _preload_content=False,
        )
    except ApiException as error:
        raise Unavailable(
            f"no command runs in pod {pod}: {error.reason}; may you create pods/exec in its namespace?"
        ) from error
    rest = said = b""
    try:
        while running.is_open():
            running.update(timeout=WAIT_SECONDS)
            # The library keeps all that ever came, for whoever asks for it at the end.
            running._all = BytesIO()  # noqa: SLF001 - as above
            said += running.read_stderr() if running.peek_stderr() else b""
            *lines, rest = (rest + (running.read_stdout() if running.peek_stdout() else b"")).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        if running.returncode:
            words = said.decode(errors="replace").strip().splitlines()
            raise OutcomeFailed(words[-1] if words else f"the command in pod {pod} ended with {running.returncode}")
    finally:
        running.close()
    if rest:
        yield rest.decode(errors="replace")
