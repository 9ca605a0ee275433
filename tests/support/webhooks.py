"""A receiver of webhooks that takes only what is signed as it should be."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

Check = Callable[[Mapping[str, str], bytes], bool]


@dataclass
class Receiver:
    """Where it listens, what it took, and how often it refused."""

    address: str
    is_genuine: Check
    taken: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        """Take a body, or answer 401."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_taken = self.receiver.is_genuine({name.lower(): value for name, value in self.headers.items()}, body)
        self.send_response(204 if is_taken else 401)
        self.end_headers()
        if is_taken:
            self.receiver.taken.append(json.loads(body))
        else:
            self.receiver.refused += 1

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def running_receiver(is_genuine: Check) -> Iterator[Receiver]:
    """Lend a receiver."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook", is_genuine)
        handler.receiver = receiver  # type: ignore[attr-defined] # made above
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join(timeout=10)
