"""A RabbitMQ whose metrics can be read, and what the operator reads and writes it with."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from broker_client import BrokerClient
from containers import Container, free_port

from millrace_operator.actuation.plan_broker import PlanBroker
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.clock import Clock
from millrace_operator.observation.broker import PassiveDeclares
from millrace_operator.observation.rabbitmq import RabbitMqObserver
from millrace_operator.observation.rabbitmq_metrics import RabbitMqMetrics

USER, PASSWORD, VIRTUAL_HOST = "operator", "integration", "millrace"
OBSERVER = "observer"
OBSERVER_WRITES = r"^celeryev\.|^millrace\.operator\."
OBSERVER_READS = r"^celeryev|^celery_delayed_|^millrace\.operator\."
"""All that observation needs, beside the permission to ask any queue, which RabbitMQ calls to configure it."""


@pytest.fixture(scope="session")
def observed_rabbitmq() -> Iterator[Container]:
    """RabbitMQ with its metrics port open."""
    container = Container(
        image="millrace/rabbitmq:4.3.6",
        ports={5672: free_port(), 15692: free_port()},
        # The name of the node, and with it the folder of its data, must survive a restart.
        options=["--hostname=rabbitmq", f"--env=RABBITMQ_DEFAULT_VHOST={VIRTUAL_HOST}"],
    )
    container.create()
    try:
        container.wait_for("rabbitmq-diagnostics", "--quiet", "check_port_connectivity", timeout_seconds=90)
        container.wait_for("rabbitmqctl", "--quiet", "list_queues")
        if VIRTUAL_HOST not in container.run("rabbitmqctl", "--quiet", "list_vhosts"):
            container.run("rabbitmqctl", "--quiet", "add_vhost", VIRTUAL_HOST)
        container.run("rabbitmqctl", "--quiet", "add_user", USER, PASSWORD)
        container.run("rabbitmqctl", "--quiet", "add_user", OBSERVER, PASSWORD)
        permit = ("rabbitmqctl", "--quiet", "set_permissions", "--vhost", VIRTUAL_HOST)
        container.run(*permit, USER, ".*", ".*", ".*")
        container.run(*permit, OBSERVER, r"^(?!amq\.).+$", OBSERVER_WRITES, OBSERVER_READS)
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="session")
def broker_url(observed_rabbitmq: Container) -> str:
    """Where the broker is, for a user who may do anything."""
    return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{observed_rabbitmq.ports[5672]}/{VIRTUAL_HOST}"


@pytest.fixture(scope="session")
def least_powers_url(observed_rabbitmq: Container) -> str:
    """Where the broker is, for a user who may only observe."""
    return f"amqp://{OBSERVER}:{PASSWORD}@127.0.0.1:{observed_rabbitmq.ports[5672]}/{VIRTUAL_HOST}"


@pytest.fixture(scope="session")
def metrics_url(observed_rabbitmq: Container) -> str:
    """Where the metrics of its only node are."""
    return f"http://127.0.0.1:{observed_rabbitmq.ports[15692]}"


@pytest.fixture
def queue() -> str:
    """The name of a queue of this test's own."""
    return f"pool-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(broker_url: str) -> Iterator[BrokerClient]:
    """Somebody who publishes and consumes."""
    client = BrokerClient(broker_url)
    yield client
    client.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for the whole test, as the operator has."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def observer(metrics_url: str, least_powers_url: str, runner: asyncio.Runner) -> Iterator[RabbitMqObserver]:
    """The operator's own observer."""
    observer = RabbitMqObserver(
        # One node by two names, as a Service and a pod: it must not count twice.
        metrics=RabbitMqMetrics(
            urls=[metrics_url, metrics_url.replace("127.0.0.1", "localhost")],
            virtual_host=VIRTUAL_HOST,
            timeout_seconds=2.0,
        ),
        declares=PassiveDeclares(broker_url=least_powers_url, timeout_seconds=2.0),
        clock=Clock(),
    )
    yield observer
    runner.run(observer.close())


@pytest.fixture
def publisher(broker_url: str, queue: str, runner: asyncio.Runner) -> Iterator[PlanPublisher]:
    """The operator's own publisher, with a system queue of this test's own."""
    publisher = PlanPublisher(PlanBroker(url=broker_url, timeout_seconds=5.0), queue=queue)
    yield publisher
    runner.run(publisher.close())
