"""A web proxy as clusters have one: names that nobody else knows are reached through it, and it remembers which."""

import select
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

_NOT_PASSED_ON = frozenset({"connection", "host", "keep-alive", "proxy-connection", "transfer-encoding"})


@dataclass
class WebProxy:
    """Where the proxy listens, whom it knows, and for whom it was asked."""

    port: int
    hosts: Mapping[str, int]
    """Name of a host -> port of this machine."""
    asked: set[tuple[str, str]] = field(default_factory=set)
    """Method and host of each request."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process behind it, in both ways in which programs read them."""
        address = f"http://127.0.0.1:{self.port}"
        known = {"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": "127.0.0.1,localhost"}
        return known | {name.lower(): value for name, value in known.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: WebProxy

    def do_GET(self) -> None:
        """Pass a request on, as plain HTTP is asked of a proxy: by its whole URL."""
        url = urlsplit(self.path)
        port = self._known("GET", url.hostname)
        if port is None:
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{url.path}", headers=headers)
        # Without the proxy of this process's own environment.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=60) as answer:
                self._pass_back(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._pass_back(error.code, error.headers, error.read())

    def do_CONNECT(self) -> None:
        """Make a tunnel, through which a client speaks TLS with whom it wants."""
        port = self._known("CONNECT", self.path.partition(":")[0])
        if port is None:
            return
        with socket.create_connection(("127.0.0.1", port), timeout=20) as other:
            self.send_response(200)
            self.end_headers()
            _join(self.connection, other)
        self.close_connection = True

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _known(self, method: str, host: str | None) -> int | None:
        self.proxy.asked.add((method, host or ""))
        port = self.proxy.hosts.get(host or "")
        if port is None:
            self.send_error(502)
        return port

    def _pass_back(self, status: int, headers: Any, body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {*_NOT_PASSED_ON, "content-length", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients may hang up."""


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side hangs up."""
    ends = {one: other, other: one}
    while True:
        for readable in select.select(list(ends), [], [])[0]:
            data = readable.recv(65_536)
            if not data:
                return
            ends[readable].sendall(data)


@contextmanager
def running_proxy(**hosts: int) -> Iterator[WebProxy]:
    """Lend a proxy that knows these hosts."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        proxy = WebProxy(server.server_port, hosts)
        handler.proxy = proxy  # type: ignore[attr-defined] # made above
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join(timeout=10)
