"""Put RabbitMQ's two voices together: passive declares say what waits now, its metrics say what workers hold.

A zero needs proof. A queue without a leader answers a passive declare with zeros and no error for as long as it has no
majority, so a zero counts only while the metrics show a leader and a sample of the queue. What is missing is Unknown.
"""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from typing import Final, Protocol, TypeVar

from millrace_contracts.queues import dead_letter_queue
from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.broker import Declared
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

    async def read(self, queues: Collection[str]) -> Mapping[str, Declared | None]:
        """Ask all of `queues`, or raise ObservationError."""
        ...

    async def close(self) -> None:
        """Close its connection."""
        ...


class RabbitMqObserver:
    """Reads queues of one virtual host; a broker that is away makes all of them Unknown."""

    def __init__(self, *, metrics: Metrics, declares: Declares, clock: Clock) -> None:
        self._metrics = metrics
        self._declares = declares
        self._clock = clock
        self._tallies: dict[str, QueueTally] = {}

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Read all of `queues` at once."""
        self._tallies = {queue: tally for queue, tally in self._tallies.items() if queue in set(queues)}
        if not queues:
            return {}
        read_at, began = self._clock.now().timestamp(), self._clock.monotonic_seconds()
        metrics, declared = await asyncio.gather(
            _or_error(self._metrics.read()), _or_error(self._declares.read(queues))
        )
        seconds = self._clock.monotonic_seconds() - began
        if seconds > STALE_AFTER_SECONDS:
            return dict.fromkeys(queues, _stale(seconds))
        return {queue: self._read(queue, metrics, declared, read_at, began) for queue in queues}

    async def close(self) -> None:
        """Close both connections."""
        await self._metrics.close()
        await self._declares.close()

    def _read(
        self,
        queue: str,
        metrics: BrokerMetrics | ObservationError,
        declared: Mapping[str, Declared | None] | ObservationError,
        read_at: float,
        began: float,
    ) -> Reading:
        known = judge(queue, metrics, declared)
        if isinstance(known, Unknown) or isinstance(metrics, ObservationError):
            return known if isinstance(known, Unknown) else _away(metrics)
        ...


