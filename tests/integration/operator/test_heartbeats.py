"""A Celery app that knows nothing of Millrace is seen as it is: its workers, its tasks, its future."""

import asyncio
import json
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_client import BrokerClient
from containers import Container
from kombu import Exchange
from plain_celery import PlainCelery
from waiters import wait_until

from millrace_operator.clock import Clock
from millrace_operator.model.outlook import Due
from millrace_operator.model.reading import QueueReading
from millrace_operator.model.worker import Worker
from millrace_operator.observation.delayed_tasks import DelayedTasks
from millrace_operator.observation.heartbeats import HeartbeatListener
from millrace_operator.observation.rabbitmq import RabbitMqObserver

CLOCK = Clock()
EVENTS = Exchange("celeryev", type="topic")
COUNTDOWN_SECONDS = 8


def now() -> float:
    return CLOCK.now().timestamp()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[PlainCelery]:
    plain = PlainCelery(
        broker_url=broker_url, queue=f"plain-{uuid.uuid4().hex[:8]}", folder=tmp_path_factory.mktemp("plain")
    )
    plain.start()
    yield plain
    plain.kill()


@pytest.fixture
def listener(least_powers_url: str, runner: asyncio.Runner) -> Iterator[HeartbeatListener]:
    listener = HeartbeatListener(broker_url=least_powers_url, clock=CLOCK)
    listener.start()
    yield listener
    runner.run(listener.close())


def wait_for_worker(listener: HeartbeatListener, node: str, *, active: int) -> Worker:
    def heard() -> Worker | None:
        worker = listener.workers(now()).get(node)
        return worker if worker is not None and worker.active == active else None

    return wait_until(heard, what=f"{node} with {active} active tasks")


def test_a_worker_is_heard_with_what_it_runs(plain: PlainCelery, listener: HeartbeatListener, tmp_path: Path) -> None:
    assert not listener.is_settled(now()), "nobody was heard yet, which says nothing"
    before = wait_for_worker(listener, plain.node, active=0)

    plain.send("wait_for", str(tmp_path / "go"))
    running = wait_for_worker(listener, plain.node, active=1)
    (tmp_path / "go").touch()
    after = wait_for_worker(listener, plain.node, active=0)

    assert (1, 1) == (running.processed - before.processed, after.processed - before.processed)
    assert before.first_heard_at == after.first_heard_at
    assert listener.is_settled(now())


def test_delayed_tasks_are_known_before_they_arrive_and_arrive_once(
    plain: PlainCelery, observer: RabbitMqObserver, least_powers_url: str, runner: asyncio.Runner
) -> None:
    delayed = DelayedTasks(broker_url=least_powers_url, clock=CLOCK)
    delayed.start()
    wait_until(lambda: delayed.is_listening, what="the tap")

    def read() -> QueueReading | None:
        reading = runner.run(observer.observe([plain.queue]))[plain.queue]
        return reading if isinstance(reading, QueueReading) else None

    before = wait_until(read, what="a reading")
    succeeded = plain.log.count("] succeeded in")
    published_at = now()
    for _ in range(3):
        plain.send("nothing", countdown=COUNTDOWN_SECONDS)
    all_published_at = now()

    def known() -> list[Due] | None:
        due = delayed.due([plain.queue], now=published_at, horizon_seconds=60).get(plain.queue, [])
        return due if sum(each.tasks for each in due) == 3 else None

    due = wait_until(known, what="the delayed tasks to be known", timeout_seconds=COUNTDOWN_SECONDS - 1)

    # Not read meanwhile: a read between the broker's two answers would see a task both waiting and delivered.
    wait_until(lambda: plain.log.count("] succeeded in") - succeeded == 3, what="the tasks", explain=lambda: plain.log)

    def ended() -> QueueReading | None:
        reading = read()
        return reading if reading is not None and completions(reading) - completions(before) == 3 else None

    after = wait_until(ended, what="the delayed tasks to end")
    runner.run(delayed.close())
    first, last = published_at + COUNTDOWN_SECONDS, all_published_at + COUNTDOWN_SECONDS
    assert all(first - 2 <= each.at <= last + 2 for each in due)
    assert after.arrivals_total is not None
    assert before.arrivals_total is not None
    assert 3 == after.arrivals_total - before.arrivals_total


def completions(reading: QueueReading) -> int:
    assert reading.completions_total is not None
    return reading.completions_total


def test_neither_rubbish_nor_a_lost_connection_ends_the_listening(
    listener: HeartbeatListener, client: BrokerClient, observed_rabbitmq: Container
) -> None:
    wait_until(lambda: listener.is_settled(now()), what="the subscription")
    up_since = listener.up_since
    pickled = pickle.dumps({"type": "worker-heartbeat", "hostname": "evil@x", "active": 1, "processed": 1})
    good = {"type": "worker-heartbeat", "hostname": "good@x", "active": 2, "processed": 5, "freq": 60}
    for body, content_type in (
        (pickled, "application/x-python-serialize"),
        (b"{", "application/json"),
        (b'{"type": "worker-heartbeat"}', "application/json"),
        (json.dumps([good]).encode(), "application/json"),
    ):
        client.publish_as_is(body, exchange=EVENTS, routing_key="worker.heartbeat", content_type=content_type)
    wait_for_worker(listener, "good@x", active=2)
    assert "evil@x" not in listener.workers(now())

    observed_rabbitmq.run("rabbitmqctl", "--quiet", "close_all_user_connections", "observer", "a test")

    wait_until(
        lambda: listener.up_since is not None and listener.up_since != up_since,
        what="a new subscription",
    )
    assert listener.up_since is not None
    assert not listener.is_settled(listener.up_since)
    assert "good@x" in listener.workers(now()), "who was heard lately is still known"


def test_an_orderly_stop_is_heard(plain: PlainCelery, listener: HeartbeatListener) -> None:
    """The last test with this worker."""
    wait_for_worker(listener, plain.node, active=0)

    plain.stop()

    wait_until(
        lambda: (worker := listener.workers(now()).get(plain.node)) is not None and worker.is_offline,
        what="the farewell",
    )


def test_workers_of_a_redis_broker_are_heard_too(redis: Container, tmp_path: Path, runner: asyncio.Runner) -> None:
    broker_url = f"redis://:integration@127.0.0.1:{redis.ports[6379]}/5"
    listener = HeartbeatListener(broker_url=broker_url, clock=CLOCK)
    listener.start()
    plain = PlainCelery(broker_url=broker_url, queue="plain", folder=tmp_path)
    try:
        plain.start(concurrency=1)
        plain.send("wait_for", str(tmp_path / "go"))
        wait_for_worker(listener, plain.node, active=1)
    finally:
        (tmp_path / "go").touch()
        plain.kill()
        runner.run(listener.close())
