"""Put RabbitMQ's two voices together: its metrics say what workers hold, passive declares say what waits now.

A zero needs proof. A queue without a leader answers a passive declare with zeros and no error for as long as it has no
majority, so a zero counts only while the metrics show a leader and a sample of the queue. What is missing is Unknown.
"""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from typing import TypeVar

from millrace_contracts.queues import dead_letter_queue
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.broker import Declared, PassiveDeclares
from millrace_operator.observation.rabbitmq_metrics import BrokerMetrics, QueueMetrics, RabbitMqMetrics

Answer = TypeVar("Answer")


class RabbitMqObserver:
    """Reads queues of one virtual host; a broker that is away makes all of them Unknown."""

    def __init__(self, *, metrics: RabbitMqMetrics, declares: PassiveDeclares) -> None:
        self._metrics = metrics
        self._declares = declares

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Read all of `queues` at once."""
        if not queues:
            return {}
        metrics, declared = await asyncio.gather(
            _or_error(self._metrics.read()), _or_error(self._declares.read(queues))
        )
        return {queue: combine(queue, metrics, declared) for queue in queues}

    async def close(self) -> None:
        """Close both connections."""
        await self._metrics.close()
        await self._declares.close()


def combine(
    queue: str,
    metrics: BrokerMetrics | ObservationError,
    declared: Mapping[str, Declared | None] | ObservationError,
) -> Reading:
    """Make one reading of both answers, or say why there is none."""
    if isinstance(metrics, ObservationError):
        return _away(metrics)
    seen = metrics.queues.get(queue, QueueMetrics())
    if isinstance(declared, ObservationError):
        # Without the live answer a gauge may stand for what waits, 5 s old at most. But not its zero: after a restart
        # the gauge of a full queue was seen at 0 for 5 s.
        return _reading(metrics, queue, ready=seen.ready) if seen.has_leader and seen.ready else _away(declared)
    answer = declared[queue]
    if answer is None:
        message = f"RabbitMQ has no queue {queue!r} (it is made by the first worker or job of the pool; see spec.queue)"
        return Unknown(reason=Blindness.QUEUE_NOT_FOUND, message=message)
    if answer.ready > 0 and seen.unacked is None:
        # A queue's first sample takes up to 5 s. What waits is there for certain; work must not wait for the gauge.
        return QueueReading(ready=answer.ready, unacked=0, consumers=answer.consumers)
    if not seen.has_leader:
        return _leaderless(queue, metrics)
    return _reading(metrics, queue, ready=answer.ready, consumers=answer.consumers)


def _reading(metrics: BrokerMetrics, queue: str, *, ready: int | None, consumers: int | None = None) -> Reading:
    seen = metrics.queues[queue]
    if ready is None or seen.unacked is None:
        return Unknown(reason=Blindness.NOT_YET_READ, message=f"RabbitMQ has not counted queue {queue!r} yet")
    dead = metrics.queues.get(dead_letter_queue(queue))
    return QueueReading(
        ready=ready,
        unacked=seen.unacked,
        consumers=seen.consumers or 0 if consumers is None else consumers,
        acked_by_node=seen.acked_by_node,
        dead_letters=dead.ready if dead is not None else None,
    )


def _away(error: ObservationError) -> Unknown:
    return Unknown(reason=Blindness.BROKER_UNREACHABLE, message=str(error))


def _leaderless(queue: str, metrics: BrokerMetrics) -> Unknown:
    silent = f"; no answer from {', '.join(metrics.silent)}" if metrics.silent else ""
    return Unknown(
        reason=Blindness.QUEUE_WITHOUT_LEADER,
        message=f"queue {queue!r} has no leader in RabbitMQ, so its counts cannot be trusted{silent}",
    )


async def _or_error(read: Awaitable[Answer]) -> Answer | ObservationError:
    try:
        return await read
    except ObservationError as error:
        return error
