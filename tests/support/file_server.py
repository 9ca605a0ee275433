"""A web server of files, with or without Range requests, that can do what web servers do to their clients."""

import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override


@dataclass
class FileServer:
    """What is served under which path, and how often each was asked for."""

    port: int
    knows_ranges: bool
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    """Answer this status instead."""
    redirects: dict[str, str] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    """Hang up in the middle."""
    asked: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    """How often all of a file was sent."""

    def url(self, path: str) -> str:
        """Answer the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: FileServer

    def do_GET(self) -> None:
        """Answer a file, a part of it, or what the test wants."""
        world, path = self.world, self.path.partition("?")[0]
        world.asked[path] += 1
        if path in world.redirects:
            self._say(302, b"", Location=world.redirects[path])
        elif path in world.statuses:
            self._say(world.statuses[path], b"no")
        elif path not in world.files:
            self._say(404, b"nothing here")
        else:
            self._send(path, world.files[path])

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _send(self, path: str, content: bytes) -> None:
        headers = {"ETag": f'"{hash(content):x}"'}
        ranged = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not (self.world.knows_ranges and ranged):
            self.world.whole[path] += 1
            self._say(200, content, cut_off=path in self.world.cut_off, **headers)
            return
        first, last = int(ranged[1]), min(int(ranged[2]), len(content) - 1)
        if first >= len(content):
            self._say(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._say(206, content[first : last + 1], cut_off=path in self.world.cut_off, **headers)

    def _say(self, status: int, content: bytes, *, cut_off: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut_off else content)
        self.close_connection = cut_off


class _Server(ThreadingHTTPServer):
    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients may hang up."""


@contextmanager
def running_file_server(*, knows_ranges: bool, tls: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    """Lend a server, of https where a context with its certificate is given."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        world = FileServer(server.server_port, knows_ranges)
        handler.world = world  # type: ignore[attr-defined] # made above
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield world
        finally:
            server.shutdown()
            thread.join(timeout=10)
