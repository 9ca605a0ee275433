"""HTTP to a pod through the Kubernetes API server, as `kubectl port-forward` does, without a port on this machine.

No other user of this machine can use the tunnel, and nothing has to be chosen, opened or closed by hand.
"""

import contextlib
import ssl
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx
from kubernetes import client, stream
from kubernetes.client.exceptions import ApiException

from millrace.cli.kubernetes_api import Cluster
from millrace.cli.official_client import official_client


class PodTransport(httpx.BaseTransport):
    """Sends httpx's requests to a port of a pod."""

    def __init__(self, cluster: Cluster, *, pod: str, port: int) -> None:
        self._pool = httpcore.ConnectionPool(network_backend=_PodBackend(cluster, pod=pod, port=port))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        asked = httpcore.Request(
            method=request.method,
            # The tunnel ends in the pod; host and scheme are only words for its web server.
            url=httpcore.URL(scheme=b"http", host=request.url.raw_host, port=80, target=request.url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            answered = self._pool.handle_request(asked)
        body = typing.cast("Iterable[bytes]", answered.stream)
        return httpx.Response(
            answered.status,
            headers=answered.headers,
            stream=_Body(body, answered.close),
            extensions=answered.extensions,
        )

    def close(self) -> None:
        """Close the tunnels."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Iterable[bytes], close: Callable[[], None]) -> None:
        self._parts = parts
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._parts

    def close(self) -> None:
        self._close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpcore.ConnectError as error:
        raise httpx.ConnectError(str(error)) from error
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error) or "no answer in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise httpx.ReadError(str(error)) from error


class _PodBackend(httpcore.NetworkBackend):
    def __init__(self, cluster: Cluster, *, pod: str, port: int) -> None:
        self._cluster = cluster
        self._pod = pod
        self._port = port

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """Open a tunnel to the pod, whatever host is asked for."""
        del host, port, timeout, local_address, socket_options
        # The client's `stream` replaces a method of the ApiClient while it connects, so it gets one of its own.
        core = client.CoreV1Api(official_client(self._cluster))
        try:
            tunnel = stream.portforward(
                core.connect_get_namespaced_pod_portforward,
                self._pod,
                self._cluster.namespace,
                ports=str(self._port),
            )
        except ApiException as error:
            raise httpcore.ConnectError(
                f"no tunnel to pod {self._pod}: {error.reason}; may you create pods/portforward in its namespace?"
            ) from error
        return _TunnelStream(tunnel, self._port)


class _TunnelStream(httpcore.NetworkStream):
    def __init__(self, tunnel: Any, port: int) -> None:
        self._tunnel = tunnel
        self._socket = tunnel.socket(port)
        self._port = port

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what the pod has sent."""
        self._socket.settimeout(timeout)
        try:
            found: bytes = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        if not found and (said := self._tunnel.error(self._port)):
            raise httpcore.ConnectError(str(said).strip())
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send to the pod."""
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the tunnel."""
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: the API server's connection is encrypted already."""
        del ssl_context, server_hostname, timeout
        raise httpcore.ConnectError("a tunnel to a pod carries plain HTTP")

    def get_extra_info(self, info: str) -> Any:
        """Say whether the connection has something to read, which here means that it was closed."""
        return not self._tunnel.connected if info == "is_readable" else None
