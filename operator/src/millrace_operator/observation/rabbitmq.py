"""Put RabbitMQ's two voices together: passive declares say what waits now, its metrics say what workers hold.

A zero needs proof. A queue without a leader answers a passive declare with zeros and no error for as long as it has no
majority, so a zero counts only while the metrics show a leader and a sample of the queue. What is missing is Unknown.
"""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from millrace_contracts.queues import dead_letter_queue
from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation import broker
from millrace_operator.observation.queue_tally import QueueTally, carry_on
from millrace_operator.observation.rabbitmq_metrics import BrokerMetrics, QueueMetrics

Answer = TypeVar("Answer")
STALE_AFTER_SECONDS: Final = 10.0
"""A read that took this long says nothing of now: the operator, or its whole machine, stood still."""


class Metrics(Protocol):
    """Who reads RabbitMQ's metrics."""

    async def read(self) -> BrokerMetrics:
        """Read all nodes, or raise ObservationError."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Declares(Protocol):
    """Who asks RabbitMQ's queues."""

    async def read(self, queues: Collection[str]) -> Mapping[str, broker.Answer]:
        """Ask all of `queues`, or raise ObservationError."""
        ...

    async def close(self) -> None:
        """Close its connection."""
        ...


@dataclass(frozen=True, slots=True)
class Trusted:
    """What both answers together prove to wait."""

    ready: int
    consumers: int | None
    is_live: bool
    """False: of the gauges, which are up to 5 s old."""


class RabbitMqObserver:
    """Reads queues of one virtual host; a broker that is away makes all of them Unknown."""

    def __init__(self, *, metrics: Metrics, declares: Declares, clock: Clock) -> None:
        self._metrics = metrics
        self._declares = declares
        self._clock = clock
        self._tallies: dict[str, QueueTally] = {}

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Read all of `queues` at once."""
        self._tallies = {queue: self._tallies.get(queue, QueueTally()) for queue in queues}
        if not queues:
            return {}
        read_at, now = self._clock.now().timestamp(), self._clock.monotonic_seconds()
        metrics, declared = await asyncio.gather(
            _or_error(self._metrics.read()), _or_error(self._declares.read(queues))
        )
        seconds = self._clock.monotonic_seconds() - now
        if seconds > STALE_AFTER_SECONDS:
            return dict.fromkeys(queues, _stale(seconds))
        if isinstance(metrics, ObservationError):
            return dict.fromkeys(queues, _away(metrics))
        readings: dict[str, Reading] = {}
        for queue in queues:
            readings[queue], self._tallies[queue] = combine(
                queue, metrics, declared, tally=self._tallies[queue], read_at=read_at, now=now
            )
        return readings

    async def close(self) -> None:
        """Close both connections."""
        await self._metrics.close()
        await self._declares.close()


def combine(
    queue: str,
    metrics: BrokerMetrics,
    declared: Mapping[str, broker.Answer] | ObservationError,
    *,
    tally: QueueTally,
    read_at: float,
    now: float,
) -> tuple[Reading, QueueTally]:
    """Make one reading of both answers and of what is remembered, or say why there is none.

    `read_at` is the time of day, `now` a clock that never jumps.
    """
    seen = metrics.queue(queue)
    known = _judge(queue, metrics, seen, declared)
    if isinstance(known, Unknown):
        return known, tally
    ready = known.ready if known.is_live else None
    tally = carry_on(tally, by_node=seen.counters, gauge=seen.unacked, ready=ready, now=now)
    reading = QueueReading(
        read_at=read_at,
        ready=known.ready,
        unacked=tally.unacked.value,
        consumers=known.consumers,
        arrivals_total=tally.arrivals,
        completions_total=tally.completions,
        dead_letters=metrics.ready(dead_letter_queue(queue)),
    )
    return reading, tally


def _judge(
    queue: str,
    metrics: BrokerMetrics,
    seen: QueueMetrics,
    declared: Mapping[str, broker.Answer] | ObservationError,
) -> Trusted | Unknown:
    if isinstance(declared, ObservationError):
        return _by_gauges(seen) or _away(declared)
    answer = declared[queue]
    if not isinstance(answer, broker.Declared):
        return _unanswered(queue, answer)
    if answer.ready > 0 and seen.unacked is None:
        # A queue's first sample takes up to 5 s. What waits is there for certain; work must not wait for the gauge.
        return Trusted(answer.ready, answer.consumers, is_live=True)
    if not seen.has_leader:
        return _leaderless(queue, metrics)
    if seen.unacked is None:
        return Unknown(reason=Blindness.NOT_YET_READ, message=f"RabbitMQ has not counted queue {queue!r} yet")
    return Trusted(answer.ready, answer.consumers, is_live=True)


def _unanswered(queue: str, answer: ObservationError | None) -> Unknown:
    if answer is None:
        message = f"RabbitMQ has no queue {queue!r} (it is made by the first worker or job of the pool; see spec.queue)"
        return Unknown(reason=Blindness.QUEUE_NOT_FOUND, message=message)
    return Unknown(reason=Blindness.QUERY_FAILED, message=str(answer))


def _by_gauges(seen: QueueMetrics) -> Trusted | None:
    # Without the live answer a gauge may stand for what waits, 5 s old at most. But not its zero: after a restart the
    # gauge of a full queue was seen at 0 for 5 s.
    if seen.has_leader and seen.ready and seen.unacked is not None:
        return Trusted(seen.ready, seen.consumers, is_live=False)
    return None


def _away(error: ObservationError) -> Unknown:
    return Unknown(reason=Blindness.BROKER_UNREACHABLE, message=str(error))


def _stale(seconds: float) -> Unknown:
    message = f"to read RabbitMQ took {seconds:.0f} s, so its answers are of the past; the operator itself stood still"
    return Unknown(reason=Blindness.STALE, message=message)


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
