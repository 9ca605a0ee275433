"""A RabbitMQ whose metrics can be read, and what the operator reads and writes it with."""

import asyncio
import json
import uuid
from collections.abc import Iterator

import httpx
import pytest
from broker_client import BrokerClient
from containers import Container, free_port
from rabbitmq_server import wait_for_rabbitmq
from waiters import wait_until

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


PATIENCE_SECONDS = 15.0
"""For one answer of a broker that is there."""


@pytest.fixture(scope="session")
def observed_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """RabbitMQ with its metrics port open."""
    folder = tmp_path_factory.mktemp("observed-rabbitmq")
    folder.chmod(0o755)
    powers = {USER: (".*", ".*", ".*"), OBSERVER: (r"^(?!amq\.).+$", OBSERVER_WRITES, OBSERVER_READS)}
    definitions = {
        "vhosts": [{"name": VIRTUAL_HOST}],
        "users": [{"name": name, "password": PASSWORD, "tags": []} for name in powers],
        "permissions": [
            {"user": name, "vhost": VIRTUAL_HOST, "configure": configure, "write": write, "read": read}
            for name, (configure, write, read) in powers.items()
        ],
    }
    (folder / "definitions.json").write_text(json.dumps(definitions))
    (folder / "20-test.conf").write_text("load_definitions = /etc/rabbitmq/definitions.json\n")
    container = Container(
        image="millrace/rabbitmq:4.3.6",
        ports={5672: free_port(), 15692: free_port()},
        options=[
            f"--volume={folder}/definitions.json:/etc/rabbitmq/definitions.json:ro",
            f"--volume={folder}/20-test.conf:/etc/rabbitmq/conf.d/20-test.conf:ro",
            # The name of the node, and with it the folder of its data, must survive a restart.
            "--hostname=rabbitmq",
        ],
    )
    container.create()
    try:
        wait_for_rabbitmq(container, f"amqp://{USER}:{PASSWORD}@127.0.0.1:{container.ports[5672]}/{VIRTUAL_HOST}")
        metrics = f"http://127.0.0.1:{container.ports[15692]}/metrics"
        wait_until(lambda: _is_served(metrics), what="the metrics of RabbitMQ", explain=container.last_lines)
        yield container
    finally:
        container.remove()


def _is_served(address: str) -> bool:
    try:
        return httpx.get(address, timeout=PATIENCE_SECONDS).is_success
    except httpx.TransportError:
        return False


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
            timeout_seconds=PATIENCE_SECONDS,
        ),
        declares=PassiveDeclares(broker_url=least_powers_url, timeout_seconds=PATIENCE_SECONDS),
        clock=Clock(),
    )
    yield observer
    runner.run(observer.close())


@pytest.fixture
def publisher(broker_url: str, queue: str, runner: asyncio.Runner) -> Iterator[PlanPublisher]:
    """The operator's own publisher, with a system queue of this test's own."""
    publisher = PlanPublisher(PlanBroker(url=broker_url, timeout_seconds=PATIENCE_SECONDS), queue=queue)
    yield publisher
    runner.run(publisher.close())
