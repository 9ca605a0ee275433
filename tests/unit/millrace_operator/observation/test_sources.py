"""Each pool is read where its spec says, and no source disturbs the pools of another."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.model.worker import Worker
from millrace_operator.observation.promql import QueryReading
from millrace_operator.observation.sources import (
    NOBODY_IS_HEARD,
    BrokerSource,
    Patience,
    PrometheusSource,
    Readings,
    Sources,
    WorkersOfPools,
)

NOW = 1_000_000.0
IDLE = QueueReading(read_at=NOW, ready=0, unacked=0)


class Time(Clock):
    """A clock that the test moves."""

    seconds = NOW

    def now(self) -> datetime:
        """Read it."""
        return datetime.fromtimestamp(self.seconds, UTC)


class Broker:
    """Answers the same reading for every queue, or does what the test says first."""

    def __init__(self, reading: Reading = IDLE, *, before: Callable[[], object] = lambda: None) -> None:
        self.reading = reading
        self.before = before
        self.is_slow = False

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Answer, or never."""
        self.before()
        if self.is_slow:
            await asyncio.Event().wait()
        return dict.fromkeys(queues, self.reading)

    async def close(self) -> None:
        """Have nothing to close."""


class Queries:
    """Answers the same for every pool's queries."""

    def __init__(self, answer: QueryReading | Unknown) -> None:
        self.answer = answer

    async def observe(self, pools: Sequence[WorkerPool]) -> Mapping[tuple[str, str], QueryReading | Unknown]:
        """Answer."""
        return {pool.key: self.answer for pool in pools}

    async def close(self) -> None:
        """Have nothing to close."""


def pool(name: str, type_: SourceType = SourceType.RABBITMQ, *, running: str = "") -> WorkerPool:
    prometheus = {"waitingQuery": "w"} | ({"runningQuery": running} if running else {})
    source = {"type": type_} | ({"prometheus": prometheus} if type_ is SourceType.PROMETHEUS else {})
    spec = {"queue": name, "workloadRef": {"name": name}, "maxReplicas": 9, "source": source}
    return WorkerPool.from_body({"metadata": {"namespace": "ml", "name": name, "uid": name}, "spec": spec})


def worker(active: int) -> Worker:
    return Worker(node="a", active=active, processed=9, heard_at=NOW, first_heard_at=NOW)


def patience(broker: Broker, clock: Clock | None = None, *, name: str = "RabbitMQ") -> Patience:
    return Patience(name, BrokerSource(broker), clock=clock or Time(), stale_seconds=10, patience_seconds=0.01)


def reason(reading: Reading) -> Blindness | None:
    return reading.reason if isinstance(reading, Unknown) else None


def test_a_source_that_is_not_configured_names_the_setting_and_the_others_are_read() -> None:
    sources = Sources({SourceType.RABBITMQ: patience(Broker())})
    readings = asyncio.run(sources.observe([pool("a"), pool("b", SourceType.REDIS), pool("c", SourceType.PROMETHEUS)]))

    assert IDLE == readings["ml", "a"]
    for name, setting in (("b", "MILLRACE_REDIS_BROKER_URL"), ("c", "MILLRACE_PROMETHEUS_URL")):
        reading = readings["ml", name]
        assert isinstance(reading, Unknown)
        assert Blindness.BROKER_NOT_CONFIGURED == reading.reason
        assert setting in reading.message


def test_a_source_with_a_defect_or_without_an_answer_disturbs_no_other() -> None:
    def defect() -> None:
        raise RuntimeError("a defect")

    async def observe() -> Readings:
        silent = Broker()
        silent.is_slow = True
        sources = Sources(
            {
                SourceType.RABBITMQ: patience(Broker(before=defect)),
                SourceType.REDIS: patience(silent, name="Redis"),
                SourceType.PROMETHEUS: patience(Broker()),
            }
        )
        types = zip("abc", (SourceType.RABBITMQ, SourceType.REDIS, SourceType.PROMETHEUS), strict=True)
        readings = await sources.observe([pool(name, type_) for name, type_ in types])
        await sources.close()
        return readings

    readings = asyncio.run(observe())

    assert [Blindness.QUERY_FAILED, Blindness.NOT_YET_READ, None] == [reason(readings["ml", name]) for name in "abc"]


def test_the_last_answer_serves_while_the_next_takes_long_until_it_is_too_old() -> None:
    async def observe() -> list[Reading]:
        broker, clock = Broker(), Time()
        source, pools, seen = patience(broker, clock), [pool("a")], []
        for slow, passed in ((False, 0.0), (True, 9.0), (True, 2.0)):
            broker.is_slow = slow
            clock.seconds += passed
            seen.append((await source.observe(pools, NOBODY_IS_HEARD))["ml", "a"])
        await source.close()
        return seen

    first, second, third = asyncio.run(observe())

    assert (IDLE, IDLE) == (first, second)
    assert Blindness.STALE == reason(third)


def complete(answer: QueryReading, workers: WorkersOfPools, *, running: str = "") -> Reading:
    one = pool("a", SourceType.PROMETHEUS, running=running)
    return asyncio.run(PrometheusSource(Queries(answer)).observe([one], workers))["ml", "a"]  # type: ignore[arg-type] # a stand-in


WAITS = QueryReading(read_at=NOW, waiting=4)


def test_what_runs_is_what_the_workers_say_where_no_query_asks_for_it() -> None:
    reading = complete(WAITS, {("ml", "a"): [worker(active=2)]})

    assert isinstance(reading, QueueReading)
    assert (4, 2, 0) == (reading.ready, reading.unacked, reading.completions_total)


def test_nothing_runs_where_there_is_no_worker() -> None:
    for running in ("", "r"):
        reading = complete(WAITS, {("ml", "a"): []}, running=running)
        assert isinstance(reading, QueueReading)
        assert 0 == reading.unacked


@pytest.mark.parametrize("running", ["", "r"])
def test_without_query_and_heartbeats_nobody_knows_what_runs(running: str) -> None:
    assert Blindness.QUERY_FAILED == reason(complete(WAITS, NOBODY_IS_HEARD, running=running))


def test_a_broker_that_counts_by_itself_is_believed() -> None:
    counted = QueueReading(read_at=NOW, ready=1, unacked=0, arrivals_total=7, completions_total=6)
    readings = asyncio.run(BrokerSource(Broker(counted)).observe([pool("a")], {("ml", "a"): [worker(active=1)]}))

    assert {("ml", "a"): counted} == readings
