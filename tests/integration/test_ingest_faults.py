"""Whatever is killed, stopped or moved: each event has its effect, and has it once."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_client
from containers import Container
from kafka import Kafka
from rabbitmq_server import wait_for_rabbitmq
from streaming import Streaming, StreamMaker, streams
from waiters import wait_until
from worker_process import WorkerProcess

from millrace_loadtest.pipeline import counted_events

SHORT_SESSION = {"consumer": {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}}


@pytest.fixture
def new_stream(kafka: Kafka, rabbitmq: Container, tmp_path: Path) -> Iterator[StreamMaker]:
    with streams(kafka, rabbitmq, tmp_path) as make:
        yield make


def test_events_wait_in_kafka_while_rabbitmq_is_away(new_stream: StreamMaker, rabbitmq: Container) -> None:
    stream = new_stream()
    bridge = stream.bridge(batchRecords=5)
    stream.kafka.produce(stream.topic, *({"n": n} for n in range(10)))
    stream.wait_for_events(10)
    rabbitmq.stop()
    try:
        stream.kafka.produce(stream.topic, *({"n": n} for n in range(10, 300)))
        wait_until(lambda: bridge.status("readyz") == 503, what="the bridge to say so", explain=stream.logs)
        assert 200 == bridge.status("healthz")
    finally:
        rabbitmq.start()
        wait_for_rabbitmq(rabbitmq, stream.broker_url)
    assert [{"n": n} for n in range(300)] == [value for _, value in stream.wait_for_events(300)]
    stream.wait_until_committed(300)
    bridge.wait_until_ready()


def test_reading_goes_on_by_itself_when_kafka_is_back(new_stream: StreamMaker) -> None:
    stream = new_stream()
    bridge = stream.bridge()
    stream.kafka.produce(stream.topic, {"n": 0})
    stream.wait_for_events(1)
    stream.kafka.container.stop()
    try:
        wait_until(lambda: bridge.status("readyz") == 503, what="the bridge to say so", explain=stream.logs)
        assert 200 == bridge.status("healthz")
    finally:
        stream.kafka.container.start()
        stream.kafka.wait_until_ready()
    stream.kafka.produce(stream.topic, {"n": 1})
    assert [{"n": 0}, {"n": 1}] == [value for _, value in stream.wait_for_events(2)]
    stream.wait_until_committed(2)


@pytest.fixture
def counting(
    redis: Container, tmp_path: Path, new_stream: StreamMaker
) -> Iterator[tuple[Streaming, redis_client.Redis]]:
    """A stream of three partitions whose task counts the effects of each event."""
    stream = new_stream(partitions=3)
    url = f"redis://:integration@127.0.0.1:{redis.ports[6379]}/0"
    worker = WorkerProcess(
        environment={
            "MILLRACE_BROKER_URL": stream.broker_url,
            "MILLRACE_REDIS_URL": url,
            "MILLRACE_SYSTEM_QUEUE": stream.queue,
            "MILLRACE_TASK_MODULES": counted_events.MODULE,
        },
        queue=stream.queue,
        folder=tmp_path / "worker",
    )
    client = redis_client.Redis.from_url(url)
    worker.start()
    try:
        yield stream, client
    finally:
        worker.stop()
        client.close()


def test_bridges_that_are_killed_and_replaced_lose_nothing_and_double_nothing(
    counting: tuple[Streaming, redis_client.Redis],
) -> None:
    stream, client = counting
    chance = random.Random(7)
    for _ in range(3):
        stream.bridge(is_awaited=False, task=counted_events.TASK, batchRecords=7, **SHORT_SESSION)
    wanted: list[str] = []
    for victim in range(3):
        for partition in range(3):
            stream.kafka.produce(stream.topic, *({"n": n} for n in range(200)), partition=partition)
        wanted += [f"{partition}:{200 * victim + n}" for partition in range(3) for n in range(200)]
        progress = chance.randrange(len(wanted) - 500, len(wanted) - 100)
        wait_until(
            lambda limit=progress: len(counted_events.counted(client, stream.topic)) >= limit,  # type: ignore[misc] # bound by default
            what=f"{progress} effects",
            timeout_seconds=120,
            interval_seconds=0.01,
            explain=stream.logs,
        )
        stream.bridges[victim].kill()
        stream.bridges[victim].start()
    wait_until(
        lambda: counted_events.lost(wanted, counted_events.counted(client, stream.topic)) == 0,
        what="all effects",
        timeout_seconds=120,
        explain=stream.logs,
    )
    stream.wait_until_committed(600, 600, 600)
    seen = counted_events.counted(client, stream.topic)
    assert (1800, 0) == (len(seen), counted_events.doubled(seen))
