"""What the operator reads of a real RabbitMQ, and how soon."""

import asyncio

from broker_client import BrokerClient
from containers import Container, docker
from waiters import wait_until

from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.broker import PassiveDeclares
from millrace_operator.observation.rabbitmq import RabbitMqObserver
from millrace_operator.observation.rabbitmq_metrics import RabbitMqMetrics


def read(runner: asyncio.Runner, observer: RabbitMqObserver, queue: str) -> Reading:
    return runner.run(observer.observe([queue]))[queue]


def wait_for_reading(
    runner: asyncio.Runner, observer: RabbitMqObserver, queue: str, *, timeout_seconds: float = 20
) -> QueueReading:
    """Wait until the gauges of a new queue exist."""

    def complete() -> QueueReading | None:
        reading = read(runner, observer, queue)
        return reading if isinstance(reading, QueueReading) and reading.acked_by_node else None

    return wait_until(complete, what=f"a reading of {queue}", timeout_seconds=timeout_seconds)


def test_what_was_published_is_seen_by_the_very_next_read(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare(queue)
    client.publish(queue, 7)

    reading = read(runner, observer, queue)

    assert isinstance(reading, QueueReading)
    assert reading.ready == 7


def test_a_new_queue_is_unknown_until_it_was_counted_and_then_empty(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare(queue)

    reading = wait_for_reading(runner, observer, queue)

    assert (reading.ready, reading.unacked, reading.consumers) == (0, 0, 0)


def test_what_workers_hold_is_seen_and_acks_are_counted(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare(queue)
    client.publish(queue, 10)
    held = client.take(queue, 3)

    def holds_three() -> QueueReading | None:
        reading = wait_for_reading(runner, observer, queue)
        return reading if reading.unacked == 3 else None

    before = wait_until(holds_three, what="3 unacked messages", timeout_seconds=20)
    assert (before.ready, before.consumers) == (7, 1)

    held[0].ack()

    def acked() -> int:
        return sum(wait_for_reading(runner, observer, queue).acked_by_node.values())

    assert wait_until(lambda: acked() == 1, what="the ack to be counted", timeout_seconds=5)


def test_a_queue_that_does_not_exist_is_unknown_and_disturbs_no_other(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare(queue)
    client.publish(queue, 1)

    readings = runner.run(observer.observe(["a-queue-of-nobody", queue, "z-queue-of-nobody"]))

    missing = readings["a-queue-of-nobody"]
    assert isinstance(missing, Unknown)
    assert missing.reason == Blindness.QUEUE_NOT_FOUND
    assert isinstance(readings[queue], QueueReading)


def test_dead_letters_are_counted(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare_with_dead_letters(queue)
    client.publish(queue, 2)
    client.take(queue, 1)[0].reject()

    def dead() -> int | None:
        return wait_for_reading(runner, observer, queue).dead_letters

    assert wait_until(lambda: dead() == 1, what="the dead letter to be counted", timeout_seconds=20)


def test_a_broker_that_goes_away_is_unknown_and_is_read_again_once_it_is_back(
    observer: RabbitMqObserver,
    observed_rabbitmq: Container,
    client: BrokerClient,
    queue: str,
    runner: asyncio.Runner,
) -> None:
    client.declare(queue)
    client.publish(queue, 5)
    wait_for_reading(runner, observer, queue)

    # Politely: RabbitMQ 4.3.6 was seen to lose what it had confirmed in the first second of a queue when it is killed.
    observed_rabbitmq.stop()
    try:
        reading = read(runner, observer, queue)
        assert isinstance(reading, Unknown)
        assert reading.reason == Blindness.BROKER_UNREACHABLE
    finally:
        observed_rabbitmq.start()

    assert wait_for_reading(runner, observer, queue, timeout_seconds=60).ready == 5


def test_a_frozen_broker_is_unknown_within_the_time_limit(
    observer: RabbitMqObserver,
    observed_rabbitmq: Container,
    client: BrokerClient,
    queue: str,
    runner: asyncio.Runner,
) -> None:
    client.declare(queue)
    wait_for_reading(runner, observer, queue)

    docker("pause", observed_rabbitmq.name)
    try:
        began = runner.get_loop().time()
        reading = read(runner, observer, queue)
        seconds = runner.get_loop().time() - began
    finally:
        docker("unpause", observed_rabbitmq.name)

    assert isinstance(reading, Unknown)
    assert seconds < 5
    assert wait_for_reading(runner, observer, queue).ready == 0


def test_a_refused_login_is_said_without_the_password(
    observed_rabbitmq: Container, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare(queue)
    metrics = RabbitMqMetrics(urls=["http://127.0.0.1:1"], virtual_host="millrace", timeout_seconds=2)
    declares = PassiveDeclares(
        broker_url=f"amqp://operator:wrong-secret@127.0.0.1:{observed_rabbitmq.ports[5672]}/millrace",
        timeout_seconds=2,
    )
    reading = read(runner, observer := RabbitMqObserver(metrics=metrics, declares=declares), queue)
    runner.run(observer.close())

    assert isinstance(reading, Unknown)
    assert "wrong-secret" not in reading.message
