"""What the operator reads of a real RabbitMQ, and how soon."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from broker_client import BrokerClient
from containers import Container, docker
from prometheus_client.parser import text_string_to_metric_families
from waiters import wait_until

from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.observation.broker import PassiveDeclares
from millrace_operator.observation.rabbitmq import RabbitMqObserver
from millrace_operator.observation.rabbitmq_metrics import FAMILIES, PREFIX, RabbitMqMetrics, parse

VIRTUAL_HOST = "millrace"
SOON_SECONDS = 3.0
"""The broker counts a moment later what it did, and its gauges only every 5 s."""


def read(runner: asyncio.Runner, observer: RabbitMqObserver, queue: str) -> Reading:
    return runner.run(observer.observe([queue]))[queue]


def wait_for_reading(
    runner: asyncio.Runner, observer: RabbitMqObserver, queue: str, *, timeout_seconds: float = 120
) -> QueueReading:
    """Wait until a queue can be read."""

    def complete() -> QueueReading | None:
        reading = read(runner, observer, queue)
        return reading if isinstance(reading, QueueReading) else None

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


def test_what_workers_take_and_ack_is_seen_by_the_very_next_read(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare(queue)
    client.publish(queue, 10)
    read(runner, observer, queue)

    held = client.take(queue, 3)
    wait_until(lambda: counted(runner, observer, queue)[0] == 3, what="the deliveries", timeout_seconds=SOON_SECONDS)
    held[0].ack()
    wait_until(
        lambda: counted(runner, observer, queue)[0] == 2 + 1,
        what="the ack and a delivery",
        timeout_seconds=SOON_SECONDS,
    )

    after = read(runner, observer, queue)
    assert isinstance(after, QueueReading)
    assert (6, 3, 1) == (after.ready, after.unacked, after.consumers)
    assert 1 == after.completions_total


def counted(runner: asyncio.Runner, observer: RabbitMqObserver, queue: str) -> tuple[int, int]:
    """What workers hold, and what they acked."""
    reading = read(runner, observer, queue)
    assert isinstance(reading, QueueReading)
    assert reading.completions_total is not None
    return reading.unacked, reading.completions_total


def test_rejected_messages_are_counted_nowhere_and_the_gauge_takes_them_away(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    client.declare_with_dead_letters(queue)
    client.publish(queue, 4)
    read(runner, observer, queue)
    for message in client.take(queue, 4)[:3]:
        message.reject()

    def settled() -> bool:
        reading = read(runner, observer, queue)
        return isinstance(reading, QueueReading) and (reading.unacked, reading.dead_letters) == (1, 3)

    # The gauge is refreshed after 5 s, and this queue's first one may have to come yet.
    wait_until(settled, what="1 unacked and 3 dead letters")


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


def test_a_queue_that_may_not_be_asked_is_unknown_and_disturbs_no_other(
    observer: RabbitMqObserver, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    private = client.declare_for_this_connection_only()
    client.declare(queue)
    client.publish(queue, 1)

    readings = runner.run(observer.observe([private, queue]))

    refused = readings[private]
    assert isinstance(refused, Unknown)
    assert refused.reason == Blindness.QUERY_FAILED
    assert private in refused.message
    assert isinstance(readings[queue], QueueReading)


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

    assert wait_for_reading(runner, observer, queue).ready == 5


def test_a_frozen_broker_is_unknown_within_the_time_limit(
    *,
    metrics_url: str,
    least_powers_url: str,
    observed_rabbitmq: Container,
    client: BrokerClient,
    queue: str,
    runner: asyncio.Runner,
) -> None:
    observer = RabbitMqObserver(
        metrics=RabbitMqMetrics(urls=[metrics_url], virtual_host=VIRTUAL_HOST, timeout_seconds=2.0),
        declares=PassiveDeclares(broker_url=least_powers_url, timeout_seconds=2.0),
        clock=Clock(),
    )
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
    runner.run(observer.close())


def test_a_refused_login_is_said_without_the_password(
    observed_rabbitmq: Container, queue: str, runner: asyncio.Runner
) -> None:
    declares = PassiveDeclares(
        broker_url=f"amqp://operator:wrong-secret@127.0.0.1:{observed_rabbitmq.ports[5672]}/millrace",
        timeout_seconds=15,
    )
    with pytest.raises(ObservationError) as refused:
        runner.run(declares.read([queue]))
    runner.run(declares.close())

    assert "check MILLRACE_BROKER_URL" in str(refused.value)
    assert "wrong-secret" not in str(refused.value)


def test_what_is_read_is_what_a_complete_parser_reads(
    observer: RabbitMqObserver, client: BrokerClient, metrics_url: str, queue: str, runner: asyncio.Runner
) -> None:
    strange = f'{queue} we"ird,}}\\x'
    client.declare(strange)
    client.publish(strange, 3)
    wait_for_reading(runner, observer, strange)
    families = [("family", family) for family in FAMILIES]
    text = httpx.get(f"{metrics_url}/metrics/detailed", params=[("vhost", VIRTUAL_HOST), *families]).text

    expected = {
        (sample.name.removeprefix(PREFIX), sample.labels["queue"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "queue" in sample.labels
    }
    node = parse(text)
    seen = {(series, name): value for series, values in node.values.items() for name, value in values.items()}
    assert {key: value for key, value in expected.items() if key[0] in node.values} == seen
    assert strange in node.leads


class Impostor(BaseHTTPRequestHandler):
    """What may stand where RabbitMQ's metrics should be."""

    def do_GET(self) -> None:
        """Answer as the path asks."""
        if self.path.startswith("/refusing"):
            self.send_error(401)
        elif self.path.startswith("/talkative"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")
        else:
            self.send_response(200)
            self.end_headers()
            self.server.released.wait(60)  # type: ignore[attr-defined] # set by the fixture

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def impostor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Impostor)
    server.released = threading.Event()  # type: ignore[attr-defined]  # the server carries what its handlers share
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://user:s3cret@127.0.0.1:{server.server_port}"
    server.released.set()  # type: ignore[attr-defined]  # the server carries what its handlers share
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "limit_seconds", "sentence"),
    [
        ("refusing", 15, "let the operator reach the port itself"),
        ("talkative", 15, "MILLRACE_BROKER_METRICS_URLS must name its metrics port"),
        ("silent", 0.5, "no answer within 0.5 s"),
    ],
)
def test_metrics_that_cannot_be_read_are_unknown_with_what_to_do(
    *,
    impostor: str,
    path: str,
    limit_seconds: float,
    sentence: str,
    least_powers_url: str,
    queue: str,
    runner: asyncio.Runner,
) -> None:
    observer = RabbitMqObserver(
        metrics=RabbitMqMetrics(urls=[f"{impostor}/{path}"], virtual_host="millrace", timeout_seconds=limit_seconds),
        declares=PassiveDeclares(broker_url=least_powers_url, timeout_seconds=15),
        clock=Clock(),
    )
    reading = read(runner, observer, queue)
    runner.run(observer.close())

    assert isinstance(reading, Unknown)
    assert reading.reason == Blindness.BROKER_UNREACHABLE
    assert sentence in reading.message
    assert "s3cret" not in reading.message
