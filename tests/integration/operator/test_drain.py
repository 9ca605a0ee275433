"""Real workers stop taking tasks when they are told, keep what they have, and take tasks again."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import Container, free_port
from plain_celery import PlainCelery
from waiters import wait_until
from worker_process import WorkerProcess

from millrace_operator.actuation.worker_control import WorkerControl
from millrace_operator.errors import ControlError
from millrace_operator.model.reading import QueueReading
from millrace_operator.observation.rabbitmq import RabbitMqObserver

CONTROLLER, PASSWORD, VIRTUAL_HOST = "controller", "integration", "millrace"
WRITES = r"^([0-9a-f-]+\.reply\.)?celery\.pidbox$"
READS = r"^([0-9a-f-]+\.)?reply\.celery\.pidbox$"
"""All that remote control needs beside the permission to declare: the chart gives the operator no more of it."""


@pytest.fixture(scope="module")
def control_url(observed_rabbitmq: Container) -> str:
    run = observed_rabbitmq.run
    run("rabbitmqctl", "--quiet", "add_user", CONTROLLER, PASSWORD)
    permit = ("rabbitmqctl", "--quiet", "set_permissions", "--vhost", VIRTUAL_HOST, CONTROLLER)
    run(*permit, r"^(?!amq\.).+$", WRITES, READS)
    return f"amqp://{CONTROLLER}:{PASSWORD}@127.0.0.1:{observed_rabbitmq.ports[5672]}/{VIRTUAL_HOST}"


@pytest.fixture
def control(control_url: str, runner: asyncio.Runner) -> Iterator[WorkerControl]:
    control = WorkerControl(broker_url=control_url, timeout_seconds=6.0)
    yield control
    runner.run(control.close())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[PlainCelery]:
    plain = PlainCelery(
        broker_url=broker_url, queue=f"drain-{uuid.uuid4().hex[:8]}", folder=tmp_path_factory.mktemp("plain")
    )
    plain.start(concurrency=1)
    yield plain
    plain.kill()


def wait_for_queue(
    observer: RabbitMqObserver, runner: asyncio.Runner, queue: str, *, ready: int, consumers: int
) -> QueueReading:
    def read() -> QueueReading | None:
        reading = runner.run(observer.observe([queue]))[queue]
        is_so = isinstance(reading, QueueReading) and (reading.ready, reading.consumers) == (ready, consumers)
        return reading if is_so and isinstance(reading, QueueReading) else None

    return wait_until(read, what=f"{ready} ready and {consumers} consumers")


def test_a_busy_worker_finishes_what_it_has_and_takes_no_more_until_it_is_told(
    plain: PlainCelery, control: WorkerControl, observer: RabbitMqObserver, runner: asyncio.Runner, tmp_path: Path
) -> None:
    plain.send("wait_for", str(tmp_path / "go"))
    wait_for_queue(observer, runner, plain.queue, ready=0, consumers=1)

    assert {plain.node} == runner.run(control.cancel_consumer(plain.queue, [plain.node]))
    plain.send("nothing")
    # The broker counts a cancelled consumer until it holds nothing: that is what a drain waits for.
    wait_for_queue(observer, runner, plain.queue, ready=1, consumers=1)
    (tmp_path / "go").touch()
    wait_for_queue(observer, runner, plain.queue, ready=1, consumers=0)

    assert {plain.node} == runner.run(control.add_consumer(plain.queue, [plain.node]))
    wait_for_queue(observer, runner, plain.queue, ready=0, consumers=1)
    wait_until(lambda: "Task nothing" in plain.log, what="the task to run", explain=lambda: plain.log)


def test_only_workers_that_answered_are_reported_and_twice_is_the_same_as_once(
    plain: PlainCelery, control: WorkerControl, runner: asyncio.Runner
) -> None:
    nodes = [plain.node, "celery@nobody"]

    assert {plain.node} == runner.run(control.cancel_consumer(plain.queue, nodes))
    assert {plain.node} == runner.run(control.cancel_consumer(plain.queue, [plain.node]))
    assert {plain.node} == runner.run(control.add_consumer(plain.queue, [plain.node]))
    assert {plain.node} == runner.run(control.add_consumer(plain.queue, [plain.node]))
    assert frozenset() == runner.run(control.cancel_consumer(plain.queue, []))


@pytest.mark.parametrize("countdown", [pytest.param(None, id="runs"), pytest.param(5, id="waits for its ETA")])
def test_a_worker_says_whether_it_holds_a_task(
    countdown: int | None, plain: PlainCelery, control: WorkerControl, runner: asyncio.Runner, tmp_path: Path
) -> None:
    def holds_nothing() -> bool:
        return {plain.node: 0} == runner.run(control.tasks_held([plain.node]))

    wait_until(holds_nothing, what="the worker to hold nothing")
    plain.send("wait_for", str(tmp_path / "go"), countdown=countdown)
    wait_until(lambda: not holds_nothing(), what="the worker to hold a task")
    (tmp_path / "go").touch()
    wait_until(holds_nothing, what="the worker to hold nothing again")


def test_a_worker_that_does_not_answer_did_not_say_that_it_holds_nothing(
    plain: PlainCelery, control: WorkerControl, runner: asyncio.Runner
) -> None:
    assert {plain.node: 0} == runner.run(control.tasks_held([plain.node, "celery@nobody"]))


@pytest.fixture
def own_worker(redis: Container, broker_url: str, tmp_path: Path) -> Iterator[WorkerProcess]:
    environment = {
        "MILLRACE_BROKER_URL": broker_url,
        "MILLRACE_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0",
    }
    queue = f"drain-{uuid.uuid4().hex[:8]}"
    worker = WorkerProcess(environment=environment, queue=queue, folder=tmp_path / "pod-a", concurrency=1)
    worker.start()
    try:
        worker.wait_until_ready()
        yield worker
    finally:
        worker.stop()


def test_millrace_s_own_worker_obeys_and_comes_back_with_its_queue_as_it_was(
    own_worker: WorkerProcess, control: WorkerControl, observer: RabbitMqObserver, runner: asyncio.Runner
) -> None:
    node = "worker@pod-a"

    # It consumes a moment before it listens to commands.
    wait_until(
        lambda: {node} == runner.run(control.cancel_consumer(own_worker.queue, [node])),
        what="the worker to obey",
    )
    wait_for_queue(observer, runner, own_worker.queue, ready=0, consumers=0)
    # A pod that is to go must stay ready: Kubernetes would take others that are not ready before it.
    assert own_worker.ready_file.exists()

    assert {node} == runner.run(control.add_consumer(own_worker.queue, [node]))
    wait_for_queue(observer, runner, own_worker.queue, ready=0, consumers=1)
    assert "PRECONDITION_FAILED" not in own_worker.log


def test_workers_on_a_redis_broker_obey_too(redis: Container, runner: asyncio.Runner, tmp_path: Path) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/6"
    plain = PlainCelery(broker_url=url, queue=f"drain-{uuid.uuid4().hex[:8]}", folder=tmp_path)
    control = WorkerControl(broker_url=url, timeout_seconds=6.0)
    plain.start(concurrency=1)
    try:
        assert {plain.node} == runner.run(control.cancel_consumer(plain.queue, [plain.node]))
        plain.send("wait_for", str(tmp_path / "never-waits"))
        (tmp_path / "never-waits").touch()
        assert "wait_for" not in plain.log.partition("ready.")[2]

        assert {plain.node} == runner.run(control.add_consumer(plain.queue, [plain.node]))
        wait_until(
            lambda: "wait_for" in plain.log.partition("ready.")[2], what="the task to run", explain=lambda: plain.log
        )
    finally:
        plain.kill()
        runner.run(control.close())


def test_a_broker_that_is_away_is_an_error_without_its_password(runner: asyncio.Runner) -> None:
    control = WorkerControl(broker_url=f"amqp://someone:secret@127.0.0.1:{free_port()}/", timeout_seconds=1.0)

    with pytest.raises(ControlError, match="check that the broker is up") as refused:
        runner.run(control.cancel_consumer("queue", ["worker@a"]))

    assert "secret" not in str(refused.value)
    runner.run(control.close())
