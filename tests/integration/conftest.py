"""Real RabbitMQ, Redis and Triton, started once for all tests, and jobs that run on them."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from containers import Container, free_port
from kafka import Kafka, running_kafka
from rabbitmq_server import wait_for_rabbitmq
from waiters import wait_until
from web import says_yes
from worker_jobs import Platform

MODELS = Path(__file__).parent / "models"
PASSWORD = "integration"
LONGEST = (
    "test_server_faults.py",
    "test_beat.py",
    "test_worker_faults.py",
    "test_ingest_faults.py",
    "test_predictions.py",
    "test_result_backends.py",
    "test_pipelines.py",
    "test_gateway.py",
    "test_ingest.py",
    "test_brokers.py",
    "test_inputs.py",
)
"""Begun last, one of these would be all that runs in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, and begin with the files that take longest."""
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.integration)
        # For what hangs: each wait has a limit of its own, and the first test of a file starts servers.
        item.add_marker(pytest.mark.timeout(300))
    places = [place for place, item in enumerate(items) if here in item.path.parents]
    ours.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def broker_url(rabbitmq: Container) -> str:
    """Answer where workers find it."""
    return f"amqp://worker:{PASSWORD}@127.0.0.1:{rabbitmq.ports[5672]}/millrace"


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """RabbitMQ with the vhost and the policies that the chart makes."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    folder.chmod(0o755)
    work = {"delivery-limit": 20, "dead-letter-exchange": "millrace.dead"}
    work |= {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    definitions = {
        "vhosts": [{"name": "millrace"}],
        "users": [{"name": "worker", "password": PASSWORD, "tags": ["administrator"]}],
        "permissions": [{"user": "worker", "vhost": "millrace", **everything}],
        "policies": [
            {
                "vhost": "millrace",
                "name": "work-queues",
                "pattern": r"^(?!amq\.|celery)(?!.*\.dead$).+$",
                "apply-to": "quorum_queues",
                "priority": 0,
                "definition": work,
            }
        ],
    }
    (folder / "definitions.json").write_text(json.dumps(definitions))
    (folder / "20-test.conf").write_text("load_definitions = /etc/rabbitmq/definitions.json\n")
    container = Container(
        image="millrace/rabbitmq:4.3.6",
        ports={5672: free_port()},
        options=[
            f"--volume={folder}/definitions.json:/etc/rabbitmq/definitions.json:ro",
            f"--volume={folder}/20-test.conf:/etc/rabbitmq/conf.d/20-test.conf:ro",
            # The name of the node, and with it the folder of its data, must survive a restart.
            "--hostname=rabbitmq",
        ],
    )
    container.create()
    try:
        wait_for_rabbitmq(container, broker_url(container))
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="session")
def redis() -> Iterator[Container]:
    """Redis that keeps its data over a restart."""
    container = Container(
        image="millrace/redis:8",
        ports={6379: free_port()},
        command=["redis-server", "--requirepass", PASSWORD, "--appendonly", "yes", "--appendfsync", "always"],
    )
    container.create()
    try:
        container.wait_for("redis-cli", "-a", PASSWORD, "ping")
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="session")
def triton() -> Iterator[Container]:
    """Triton with the models of this folder."""
    container = Container(
        image="millrace/triton:dev",
        ports={8001: free_port(), 8000: free_port(), 8002: free_port()},
        command=["tritonserver", "--model-repository=/models", "--exit-timeout-secs=1"],
        options=[f"--volume={MODELS}:/models:ro", "--shm-size=256m"],
    )
    container.create()
    try:
        address = f"http://127.0.0.1:{container.ports[8000]}/v2/health/ready"
        wait_until(lambda: says_yes(address), what="Triton", timeout_seconds=120, explain=container.last_lines)
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Kafka of one node, without topics."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


def new_platform(servers: tuple[Container, Container, Container], folder: Path) -> Platform:
    """Name a pool of its own on the servers that all tests share."""
    rabbitmq, redis, triton = servers
    return Platform(
        broker_url=broker_url(rabbitmq),
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0",
        triton_url=f"127.0.0.1:{triton.ports[8001]}",
        queue=f"pool-{uuid.uuid4().hex[:8]}",
        folder=folder,
    )


@pytest.fixture(scope="session")
def make_platform(rabbitmq: Container, redis: Container, triton: Container) -> Callable[[Path], Platform]:
    """Make pools of which a module has its own kind; whoever makes one closes it."""
    return lambda folder: new_platform((rabbitmq, redis, triton), folder)


@pytest.fixture
def platform(rabbitmq: Container, redis: Container, triton: Container, tmp_path: Path) -> Iterator[Platform]:
    """A pool without workers, for one test that disturbs it."""
    platform = new_platform((rabbitmq, redis, triton), tmp_path)
    try:
        yield platform
    finally:
        platform.close()


@pytest.fixture(scope="module")
def pool(
    rabbitmq: Container, redis: Container, triton: Container, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """A pool with a worker, for all tests of a module that leave it as it is."""
    platform = new_platform((rabbitmq, redis, triton), tmp_path_factory.mktemp("pool"))
    try:
        platform.worker()
        yield platform
    finally:
        platform.close()
