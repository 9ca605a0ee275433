"""What a bridge shows to Prometheus and to probes."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import nan
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.process_collector import ProcessCollector

from millrace_contracts.streams import IngestMetricNames
from millrace_ingest.consume import Place
from millrace_ingest.settings import Stream

Problems = Callable[[], Mapping[str, str]]
"""What is wrong now: part -> a sentence."""

PUBLISHED: Final = "published"
DEAD_LETTERED: Final = "dead-lettered"


class Metrics:
    """The metrics of one bridge. What nobody knows is NaN."""

    def __init__(self, stream: Stream) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        names, labels = IngestMetricNames, ["stream"]
        records = Counter(
            names.RECORDS.removesuffix("_total"),
            "Records that RabbitMQ has (published) or the dead-letter topic has (dead-lettered).",
            [*labels, "outcome"],
            registry=self.registry,
        )
        self._published = records.labels(stream.name, PUBLISHED)
        self._dead_lettered = records.labels(stream.name, DEAD_LETTERED)
        self._lag = Gauge(
            names.LAG,
            "Records after the committed offset, of partitions that this bridge reads.",
            [*labels, "topic", "partition"],
            registry=self.registry,
        )
        self._paused = Gauge(
            names.PAUSED, "1 while the queue is above its high-water mark.", labels, registry=self.registry
        ).labels(stream.name)
        self._queue = Gauge(
            names.QUEUE_MESSAGES, "Ready messages of the queue.", [*labels, "queue"], registry=self.registry
        ).labels(stream.name, stream.queue)
        for name, value, help_text in (
            (names.HIGH_WATER, stream.high_water_messages, "Ready messages at which reading stops."),
            (names.LOW_WATER, stream.low_water_messages, "Ready messages below which reading goes on."),
        ):
            Gauge(name, help_text, labels, registry=self.registry).labels(stream.name).set(value)
        self._stream = stream.name
        self._queue.set(nan)

    def published(self, count: int) -> None:
        """Count records that RabbitMQ confirmed."""
        self._published.inc(count)

    def dead_lettered(self) -> None:
        """Count a dead letter that Kafka has."""
        self._dead_lettered.inc()

    def queue_was_read(self, ready_messages: int | None, *, is_stopped: bool) -> None:
        """Show a reading of the queue, and what follows from it."""
        self._queue.set(nan if ready_messages is None else ready_messages)
        self._paused.set(is_stopped)

    def lag_was_read(self, lag: Mapping[Place, int]) -> None:
        """Show the lag of the partitions that this bridge reads now, and no others."""
        self._lag.clear()
        for (topic, partition), records in lag.items():
            self._lag.labels(self._stream, topic, str(partition)).set(records)


def serve(port: int, *, registry: CollectorRegistry, alive: Problems, ready: Problems) -> ThreadingHTTPServer:
    """Answer /metrics, /healthz and /readyz in a thread of their own; port 0 takes any that is free."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path in ("/healthz", "/readyz"):
                problems = (alive if self.path == "/healthz" else ready)()
                self._answer(503 if problems else 200, "application/json", json.dumps(dict(problems)).encode())
            else:
                self._answer(404, "text/plain", b"there are /metrics, /healthz and /readyz\n")

        def log_message(self, *_: object) -> None:
            """Stay silent: probes come every few seconds."""

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
