"""Read every pool's backlog where its spec says, so that no broker that is away or slow disturbs the pools of another.

Each source reads by itself, one read at a time. A pass waits for it a moment; what comes later serves the next pass,
and the last answer serves until then, or until it is too old to be trusted.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import structlog

from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.model.worker import Worker
from millrace_operator.observation.ports import QueueObserver
from millrace_operator.observation.promql import PrometheusQueries, QueryReading
from millrace_operator.observation.redis_lists import RedisLists
from millrace_operator.observation.totals import Totals
from millrace_operator.settings import OperatorSettings

log = structlog.get_logger("millrace.observation")
Key = tuple[str, str]
"""Namespace and name of a pool."""
WorkersOfPools = Mapping[Key, Sequence[Worker]]
"""The workers that are heard. Empty: no pod of the pool runs one yet. Without the key: its pods run some, unheard."""
Readings = Mapping[Key, Reading]
NOBODY_IS_HEARD: Final[WorkersOfPools] = MappingProxyType({})

PATIENCE_SECONDS: Final = 0.5
STALE_SECONDS: Final = 10.0
PROMETHEUS_STALE_SECONDS: Final = 30.0
NOT_CONFIGURED: Final = MappingProxyType(
    {
        SourceType.RABBITMQ: "MILLRACE_BROKER_KIND to rabbitmq, with its URLs",
        SourceType.REDIS: "MILLRACE_REDIS_BROKER_URL",
        SourceType.PROMETHEUS: "MILLRACE_PROMETHEUS_URL",
    }
)


class PoolSource(Protocol):
    """Reads the backlogs of pools of one type of source. Never raises for a server that is away."""

    async def observe(self, pools: Sequence[WorkerPool], workers: WorkersOfPools) -> Readings:
        """Read all of `pools`; the answer has each of them."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class BrokerSource:
    """A broker that is read by queue; what it does not count, the workers do."""

    def __init__(self, broker: QueueObserver) -> None:
        self._broker = broker
        self._totals = Totals()

    async def observe(self, pools: Sequence[WorkerPool], workers: WorkersOfPools) -> Readings:
        """Read the queues of all `pools` at once."""
        readings = await self._broker.observe({pool.queue for pool in pools})
        answer = {pool.key: self._complete(pool.key, readings[pool.queue], workers) for pool in pools}
        self._totals.keep(answer)
        return answer

    async def close(self) -> None:
        """Close the broker's connections."""
        await self._broker.close()

    def _complete(self, key: Key, reading: Reading, workers: WorkersOfPools) -> Reading:
        if isinstance(reading, Unknown) or reading.arrivals_total is not None or key not in workers:
            return reading
        return self._totals.by_workers(key, reading, workers[key])


class PrometheusSource:
    """Queries; what they do not ask for, the workers say."""

    def __init__(self, queries: PrometheusQueries) -> None:
        self._queries = queries
        self._totals = Totals()

    async def observe(self, pools: Sequence[WorkerPool], workers: WorkersOfPools) -> Readings:
        """Ask the queries of all `pools`."""
        answers = await self._queries.observe(pools)
        readings = {pool.key: self._reading(pool, answers[pool.key], workers.get(pool.key)) for pool in pools}
        self._totals.keep(readings)
        return readings

    async def close(self) -> None:
        """Close the connections."""
        await self._queries.close()

    def _reading(self, pool: WorkerPool, answer: QueryReading | Unknown, workers: Sequence[Worker] | None) -> Reading:
        if isinstance(answer, Unknown):
            return answer
        running = answer.running
        if running is None and workers is not None and (not workers or not pool.source.running_query):
            # Without a worker nothing runs, even if the query's series are not there yet.
            running = sum(worker.active for worker in workers)
        if running is None:
            return _nobody_knows_what_runs(pool)
        reading = QueueReading(read_at=answer.read_at, ready=answer.waiting, unacked=running)
        if answer.completed is not None:
            return self._totals.by_counter(pool.key, reading, answer.completed)
        return reading if workers is None else self._totals.by_workers(pool.key, reading, workers)


def _nobody_knows_what_runs(pool: WorkerPool) -> Unknown:
    if pool.source.running_query:
        message = "spec.source.prometheus.runningQuery answers nothing: its series do not exist or are stale"
    else:
        message = (
            "it is not known how many tasks run, for no worker of the pool is heard; "
            "write spec.source.prometheus.runningQuery"
        )
    return Unknown(reason=Blindness.QUERY_FAILED, message=message)


class Patience:
    """Waits a moment for a source and answers what it said last when it needs longer."""

    def __init__(
        self,
        name: str,
        source: PoolSource,
        *,
        clock: Clock,
        stale_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._name = name
        self._patience_seconds = patience_seconds
        self._source = source
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._reading: asyncio.Task[Readings] | None = None
        self._last: Readings = {}

    async def observe(self, pools: Sequence[WorkerPool], workers: WorkersOfPools) -> Readings:
        """Read `pools`, or answer what is known of them."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(tuple(pools), workers))
        await asyncio.wait({self._reading}, timeout=self._patience_seconds)
        if self._reading.done():
            self._last, self._reading = self._reading.result(), None
        now = self._clock.now().timestamp()
        return {pool.key: self._trusted(self._last.get(pool.key), now) for pool in pools}

    async def close(self) -> None:
        """Stop reading and close the source."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._source.close()

    async def _read(self, pools: Sequence[WorkerPool], workers: WorkersOfPools) -> Readings:
        try:
            return await self._source.observe(pools, workers)
        except Exception:
            # A defect in the handling of one source must not stop the pools of the others; it is shown whole.
            log.exception("a source was not read because of a defect; please report it", source=self._name)
            message = f"{self._name} was not read because of a defect of the operator; see its log"
            return dict.fromkeys((pool.key for pool in pools), Unknown(reason=Blindness.QUERY_FAILED, message=message))

    def _trusted(self, reading: Reading | None, now: float) -> Reading:
        if reading is None:
            return Unknown(reason=Blindness.NOT_YET_READ, message=f"{self._name} has not answered yet")
        if isinstance(reading, QueueReading) and now - reading.read_at > self._stale_seconds:
            message = f"{self._name} has not answered for {now - reading.read_at:.0f} s"
            return Unknown(reason=Blindness.STALE, message=message)
        return reading


class Sources:
    """Reads all pools, each where its spec says."""

    def __init__(self, sources: Mapping[SourceType, Patience]) -> None:
        self._sources = sources

    async def observe(self, pools: Sequence[WorkerPool], *, workers: WorkersOfPools = NOBODY_IS_HEARD) -> Readings:
        """Read all of `pools`; the answer has each of them."""
        groups: dict[SourceType, list[WorkerPool]] = defaultdict(list)
        for pool in pools:
            groups[pool.source.type].append(pool)
        answers = await asyncio.gather(*(self._observe(type_, group, workers) for type_, group in groups.items()))
        return {key: reading for answer in answers for key, reading in answer.items()}

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(source.close() for source in self._sources.values()))

    def _observe(self, type_: SourceType, pools: Sequence[WorkerPool], workers: WorkersOfPools) -> Awaitable[Readings]:
        source = self._sources.get(type_)
        return _not_configured(type_, pools) if source is None else source.observe(pools, workers)


async def _not_configured(type_: SourceType, pools: Sequence[WorkerPool]) -> Readings:
    message = f"the operator knows no {type_}; set {NOT_CONFIGURED[type_]} (see spec.source.type)"
    return dict.fromkeys((pool.key for pool in pools), Unknown(reason=Blindness.BROKER_NOT_CONFIGURED, message=message))


def connect_sources(settings: OperatorSettings, *, rabbitmq: QueueObserver | None, clock: Clock) -> Sources:
    """Make the sources that the settings name."""
    sources: dict[SourceType, tuple[PoolSource, float]] = {}
    if rabbitmq is not None:
        sources[SourceType.RABBITMQ] = (BrokerSource(rabbitmq), STALE_SECONDS)
    if settings.redis_broker_url is not None:
        lists = RedisLists(
            url=settings.redis_broker_url.get_secret_value(),
            timeout_seconds=settings.broker_timeout_seconds,
            key_prefix=settings.redis_broker_key_prefix,
            clock=clock,
        )
        sources[SourceType.REDIS] = (BrokerSource(lists), STALE_SECONDS)
    if settings.prometheus_url is not None:
        queries = PrometheusQueries(
            url=settings.prometheus_url.get_secret_value(),
            timeout_seconds=settings.prometheus_timeout_seconds,
            interval_seconds=settings.prometheus_interval_seconds,
            clock=clock,
        )
        stale_seconds = max(PROMETHEUS_STALE_SECONDS, 3 * settings.prometheus_interval_seconds)
        sources[SourceType.PROMETHEUS] = (PrometheusSource(queries), stale_seconds)
    return Sources(
        {type_: Patience(type_, source, clock=clock, stale_seconds=stale) for type_, (source, stale) in sources.items()}
    )
