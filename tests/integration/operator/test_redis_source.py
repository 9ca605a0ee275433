"""What the operator reads of Celery's queues on a real Redis."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from containers import Container, docker
from kombu import Connection, Exchange, Queue
from waiters import wait_until

from millrace_operator.clock import Clock
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.redis_lists import RedisLists

PASSWORD = "integration"
TOPIC = Exchange("work-of-redis-tests", type="topic")
QUEUES_OF_CELERY = Exchange("", type="direct")


@pytest.fixture
def url(redis: Container) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/5"


@pytest.fixture
def broker(url: str) -> Iterator[Connection]:
    """What Celery itself uses."""
    with Connection(url) as connection:
        yield connection


@pytest.fixture
def lists(url: str, runner: asyncio.Runner) -> Iterator[RedisLists]:
    lists = RedisLists(url=url, timeout_seconds=15.0, clock=Clock())
    yield lists
    runner.run(lists.close())


def counts(runner: asyncio.Runner, lists: RedisLists, *queues: str) -> list[tuple[int, int]]:
    readings = runner.run(lists.observe(queues))
    found = [readings[queue] for queue in queues]
    return [(each.ready, each.unacked) for each in found if isinstance(each, QueueReading)]


def reason(reading: Reading) -> Blindness | None:
    return reading.reason if isinstance(reading, Unknown) else None


def publish(broker: Connection, queue: str, count: int, **options: Any) -> None:
    producer = broker.Producer()
    for number in range(count):
        producer.publish({"number": number}, **({"exchange": "", "routing_key": queue} | options))


def take(broker: Connection, queue: Queue, count: int) -> list[Any]:
    """Take messages without acking them, as a worker that works on them."""
    taken: list[Any] = []
    channel = broker.channel()
    channel.basic_qos(0, count, apply_global=False)
    consumer = broker.Consumer(queue, channel=channel, on_message=taken.append)
    consumer.consume()
    while len(taken) < count:
        broker.drain_events(timeout=60)
    consumer.cancel()
    return taken


def test_messages_of_every_priority_wait_and_those_that_workers_hold_are_told_apart_by_queue(
    broker: Connection, lists: RedisLists, queue: str, runner: asyncio.Runner
) -> None:
    other = f"other-{queue}"
    assert [(0, 0), (0, 0)] == counts(runner, lists, queue, other)

    publish(broker, queue, 5)
    publish(broker, queue, 2, priority=9)
    publish(broker, other, 1)
    assert [(7, 0), (1, 0)] == counts(runner, lists, queue, other)

    held = take(broker, Queue(queue, QUEUES_OF_CELERY, routing_key=queue), 3)
    assert [(4, 3), (1, 0)] == counts(runner, lists, queue, other)

    for message in held:
        message.ack()
    assert [(4, 0), (1, 0)] == counts(runner, lists, queue, other)


def test_a_message_that_came_through_a_topic_belongs_to_the_queue_that_is_bound_to_it(
    broker: Connection, lists: RedisLists, queue: str, runner: asyncio.Runner
) -> None:
    bound = Queue(queue, TOPIC, routing_key=f"{queue}.#")
    bound(broker.channel()).declare()
    publish(broker, queue, 2, exchange=TOPIC, routing_key=f"{queue}.night.large")

    held = take(broker, bound, 1)
    assert [(1, 1)] == counts(runner, lists, queue)
    held[0].ack()


def test_a_key_that_is_no_list_is_unknown_and_disturbs_no_other_queue(
    redis: Container, broker: Connection, lists: RedisLists, queue: str, runner: asyncio.Runner
) -> None:
    redis.run("redis-cli", "-a", PASSWORD, "-n", "5", "set", f"no-list-{queue}", "1")
    publish(broker, queue, 1)

    readings = runner.run(lists.observe([queue, f"no-list-{queue}"]))

    assert [(1, 0)] == counts(runner, lists, queue)
    assert Blindness.QUERY_FAILED == reason(readings[f"no-list-{queue}"])


def test_a_replica_counts_for_nothing(
    redis: Container, broker: Connection, lists: RedisLists, queue: str, runner: asyncio.Runner
) -> None:
    """It may be behind, and its missing list is no proof of an empty queue."""
    publish(broker, queue, 1)
    redis.run("redis-cli", "-a", PASSWORD, "replicaof", "127.0.0.1", "1")
    try:
        reading = runner.run(lists.observe([queue]))[queue]
    finally:
        redis.run("redis-cli", "-a", PASSWORD, "replicaof", "no", "one")

    assert Blindness.BROKER_UNREACHABLE == reason(reading)
    assert [(1, 0)] == counts(runner, lists, queue)


def test_a_redis_that_does_not_answer_in_time_is_unknown_and_right_again_afterwards(
    redis: Container, broker: Connection, url: str, queue: str, runner: asyncio.Runner
) -> None:
    publish(broker, queue, 3)
    lists = RedisLists(url=url, timeout_seconds=0.3, clock=Clock())
    docker("pause", redis.name)
    try:
        reading = runner.run(lists.observe([queue]))[queue]
    finally:
        docker("unpause", redis.name)

    assert Blindness.BROKER_UNREACHABLE == reason(reading)
    wait_until(lambda: [(3, 0)] == counts(runner, lists, queue), what="Redis to answer again")
    runner.run(lists.close())


def test_a_wrong_password_is_unknown_and_says_which_setting(url: str, queue: str, runner: asyncio.Runner) -> None:
    lists = RedisLists(url=url.replace(PASSWORD, "wrong"), timeout_seconds=15.0, clock=Clock())
    reading = runner.run(lists.observe([queue]))[queue]
    runner.run(lists.close())

    assert isinstance(reading, Unknown)
    assert Blindness.BROKER_UNREACHABLE == reading.reason
    assert "MILLRACE_REDIS_BROKER_URL" in reading.message
    assert "wrong" not in reading.message
