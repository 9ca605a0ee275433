"""Hear the heartbeats of Celery workers: what each of them runs now, of any Celery app, unchanged.

Workers send these events every 2 s by themselves, without -E. The times in them are those of the workers' own clocks,
so only the moment of arrival counts. Silence is not death: a worker of `-P solo` is silent during a task. Workers whose
app renames its event exchange (event_exchange) are not heard.
"""

import threading
from collections.abc import Mapping
from typing import Any, Final

from celery.events.event import get_exchange
from kombu import Queue

from millrace_operator.clock import Clock
from millrace_operator.model.worker import Worker, Workers
from millrace_operator.observation.subscription import Subscription, own_name

ROUTING_KEY: Final = "worker.#"
QUEUE_PREFIX: Final = "celeryev.millrace"
USUAL_INTERVAL_SECONDS: Final = 2.0
SILENT_INTERVALS: Final = 3
"""A worker that was silent for longer is not listed."""
SETTLE_SECONDS: Final = 1.5 * USUAL_INTERVAL_SECONDS
"""After this long every worker that lives has been heard."""
FORGET_AFTER_SECONDS: Final = 3600.0
MOST_WORKERS: Final = 20_000


class WorkerBook:
    """What every worker said last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[str, Worker] = {}

    def hear(self, event: Mapping[str, Any], *, now: float) -> None:
        """Take in an event; raise ValueError, TypeError or KeyError when it is none of a worker."""
        with self._lock:
            node = str(event["hostname"])
            self._workers[node] = _heard(self._workers.get(node), event, node=node, now=now)
            if len(self._workers) > MOST_WORKERS:
                self._forget(now)

    def workers(self, now: float) -> Workers:
        """List the workers that were heard lately."""
        with self._lock:
            known = tuple(self._workers.values())
        return {
            worker.node: worker
            for worker in known
            if now - worker.heard_at <= SILENT_INTERVALS * worker.interval_seconds
        }

    def _forget(self, now: float) -> None:
        by_silence = sorted(self._workers.values(), key=lambda worker: worker.heard_at)
        for number, worker in enumerate(by_silence):
            if now - worker.heard_at > FORGET_AFTER_SECONDS or len(by_silence) - number > MOST_WORKERS:
                del self._workers[worker.node]


def _heard(before: Worker | None, event: Mapping[str, Any], *, node: str, now: float) -> Worker:
    kind = event["type"]
    if kind not in {"worker-online", "worker-heartbeat", "worker-offline"}:
        raise ValueError(f"event {kind!r} is none of a worker")
    interval = float(event.get("freq") or USUAL_INTERVAL_SECONDS)
    return Worker(
        node=node,
        # worker-online and worker-offline carry neither.
        active=int(event.get("active", 0)),
        processed=int(event.get("processed", 0)),
        heard_at=now,
        first_heard_at=before.first_heard_at if before else now,
        interval_seconds=min(max(interval, 0.1), 600.0),
        is_offline=kind == "worker-offline",
    )


class HeartbeatListener:
    """Listens to the workers of one broker, RabbitMQ or Redis."""

    def __init__(self, *, broker_url: str, clock: Clock) -> None:
        self._clock = clock
        self._book = WorkerBook()
        self._subscription = Subscription(
            what="heartbeats of workers",
            broker_url=broker_url,
            declare=_declare,
            on_message=self._take,
            clock=clock,
        )

    def start(self) -> None:
        """Begin to listen."""
        self._subscription.start()

    def workers(self, now: float) -> Workers:
        """List the workers that were heard within three of their intervals."""
        return self._book.workers(now)

    def is_settled(self, now: float) -> bool:
        """Tell whether it has listened for long enough to know all workers."""
        up_since = self.up_since
        return up_since is not None and now - up_since >= SETTLE_SECONDS

    @property
    def up_since(self) -> float | None:
        """Since when it listens, in seconds since the epoch; None: it does not."""
        return self._subscription.up_since

    async def close(self) -> None:
        """Stop listening."""
        await self._subscription.close()

    def _take(self, message: Any) -> None:
        if message.content_type != "application/json":
            raise ValueError(f"content type {message.content_type!r} is refused")
        now = self._clock.now().timestamp()
        body = message.decode()
        for event in body if isinstance(body, list) else [body]:
            self._book.hear(event, now=now)


def _declare(connection: Any) -> Any:
    queue = Queue(
        own_name(QUEUE_PREFIX),
        # A topic exchange in RabbitMQ, fanout in Redis, as Celery itself has it.
        exchange=get_exchange(connection),
        routing_key=ROUTING_KEY,
        exclusive=True,
        auto_delete=True,
        durable=False,
        # Should we not keep up, old news is worthless.
        message_ttl=USUAL_INTERVAL_SECONDS * SILENT_INTERVALS,
        max_length=MOST_WORKERS,
    )(connection.default_channel)
    queue.declare()
    return queue
