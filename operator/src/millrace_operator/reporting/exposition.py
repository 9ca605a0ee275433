"""Write metrics as Prometheus reads them, and serve them.

The library makes an object and some dictionaries of every sample: for a thousand pools most of a second of the one
interpreter, which the loops lack meanwhile. So the series of pools are written as text at once.
"""

import gzip
import math
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal

from millrace_contracts.metrics import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
CLIENT_SECONDS: Final = 30.0
"""After which a client that is silent is left."""
_FAST: Final = 1
"""Level of compression: these texts repeat themselves, so that more of it gains little."""
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def head(metric: Metric, kind: Literal["counter", "gauge", "histogram"]) -> str:
    """Begin a metric."""
    return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {kind}\n"


@lru_cache(maxsize=65_536)
def labels_of(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Write labels as they stand between the braces; those of a thousand pools are written once."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))


def lines(name: str, samples: Iterable[tuple[str, float | None]]) -> str:
    """Write samples by their labels; what is not known has no line."""
    return "".join([f"{name}{{{labels}}} {number(value)}\n" for labels, value in samples if value is not None])


@lru_cache(maxsize=4096)
def number(value: float) -> str:
    """Write a value; most are small counts, which are written again and again."""
    exact = float(value)
    if math.isinf(exact):
        return "+Inf" if exact > 0 else "-Inf"
    return "NaN" if math.isnan(exact) else repr(exact)


def serve(port: int, expose: Callable[[], bytes]) -> ThreadingHTTPServer:
    """Answer every path with the metrics, in threads of their own; port 0 takes any that is free."""

    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_SECONDS

        def do_GET(self) -> None:
            body, is_packed = expose(), "gzip" in self.headers.get("Accept-Encoding", "")
            body = gzip.compress(body, _FAST) if is_packed else body
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            if is_packed:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent: Prometheus comes every few seconds."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
