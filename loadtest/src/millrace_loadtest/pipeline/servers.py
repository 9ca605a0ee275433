"""Real servers in containers and our own processes beside them, for benchmarks of the loop on one machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

PASSWORD: Final = "benchmark"  # noqa: S105 - of containers that live as long as a benchmark
KAFKA_START: Final = (
    "/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id MillraceLocalKafka0000 --config $PROPERTIES"
    " && exec /opt/kafka/bin/kafka-server-start.sh $PROPERTIES"
)
Value = TypeVar("Value")


def wait_for(condition: Callable[[], Value | None], *, what: str, limit_seconds: float = 60.0) -> Value:
    """Return the first truthy answer, or raise TimeoutError when time is up."""
    deadline = time.monotonic() + limit_seconds
    pause = threading.Event()
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_seconds:g} s in vain for {what}")
        pause.wait(0.05)
    return answer


def conditions() -> dict[str, Any]:
    """Say what else the machine had to do: a figure of a busy machine says little."""
    return {"cores": os.cpu_count(), "load_average_before": round(os.getloadavg()[0], 1)}


def free_port() -> int:
    """Answer a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def docker(*arguments: str) -> str:
    """Run a docker command and answer what it printed."""
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our words
    if done.returncode != 0:
        raise RuntimeError(f"docker {arguments[0]} failed: {done.stderr.strip()}; is Docker up, are images built?")
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Server:
    """A container, and where it listens on this machine."""

    name: str
    port: int
    url: str

    def stop(self) -> None:
        """Take it away; its data stay."""
        docker("stop", "--time=5", self.name)

    def start(self) -> None:
        """Bring it back, at the same port."""
        docker("start", self.name)

    def answers(self, *command: str) -> bool:
        """Say whether a command inside ends well."""
        done = subprocess.run(["docker", "exec", self.name, *command], capture_output=True, check=False, timeout=60)  # noqa: S603, S607 - our words
        return done.returncode == 0


@contextmanager
def _container(
    image: str, *, port: int, inside: int, url: str, options: Sequence[str] = (), command: Sequence[str] = ()
) -> Iterator[Server]:
    server = Server(f"millrace-bench-{uuid.uuid4().hex[:10]}", port, url)
    publish = f"--publish=127.0.0.1:{port}:{inside}"
    docker(
        "run", "--detach", f"--name={server.name}", "--label=millrace.dev/test=1", publish, *options, image, *command
    )
    try:
        yield server
    finally:
        docker("rm", "--force", "--volumes", server.name)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    """Run RabbitMQ with vhost and policy as the chart makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    all_rights = {"configure": ".*", "write": ".*", "read": ".*"}
    work = {"delivery-limit": 20, "dead-letter-exchange": "millrace.dead"}
    work |= {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    policy = {"vhost": "millrace", "name": "work-queues", "pattern": r"^(?!amq\.|celery)(?!.*\.dead$).+$"}
    definitions = {
        "vhosts": [{"name": "millrace"}],
        "users": [{"name": "worker", "password": PASSWORD, "tags": ["administrator"]}],
        "permissions": [{"user": "worker", "vhost": "millrace", **all_rights}],
        "policies": [{**policy, "apply-to": "quorum_queues", "priority": 0, "definition": work}],
    }
    (folder / "definitions.json").write_text(json.dumps(definitions))
    (folder / "20-bench.conf").write_text("load_definitions = /etc/rabbitmq/definitions.json\n")
    port = free_port()
    options = [
        f"--volume={folder}/definitions.json:/etc/rabbitmq/definitions.json:ro",
        f"--volume={folder}/20-bench.conf:/etc/rabbitmq/conf.d/20-bench.conf:ro",
        "--hostname=rabbitmq",  # the name of the node must survive a restart
    ]
    url = f"amqp://worker:{PASSWORD}@127.0.0.1:{port}/millrace"
    with _container("millrace/rabbitmq:4.3.6", port=port, inside=5672, url=url, options=options) as server:
        check = ("rabbitmq-diagnostics", "--quiet", "check_port_connectivity")
        wait_for(lambda: server.answers(*check), what="RabbitMQ", limit_seconds=120)
        yield server


@contextmanager
def redis(*options: str) -> Iterator[Server]:
    """Run a Redis that keeps what it confirmed; more words go to redis-server."""
    port = free_port()
    command = ["redis-server", "--requirepass", PASSWORD, "--appendonly", "yes", *options]
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    with _container("millrace/redis:8", port=port, inside=6379, url=url, command=command) as server:
        wait_for(lambda: server.answers("redis-cli", "-a", PASSWORD, "ping"), what="Redis", limit_seconds=120)
        yield server


def kafka_properties(port: int) -> str:
    """Write the configuration of a broker that clients of this machine find at a port."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": "1@localhost:9093",
        # One listener for clients: the port inside is the port outside, so what Kafka advertises is true for both.
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://localhost:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "/var/lib/kafka/data",
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        # Members are killed, and the others are to notice soon.
        "group.min.session.timeout.ms": 1000,
        "num.network.threads": 2,
        "num.io.threads": 2,
        "auto.create.topics.enable": "false",
        # By default 128 MB of heap, and the broker dies at start where it has less.
        "log.cleaner.dedupe.buffer.size": 4_194_304,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def kafka_options(properties: Path) -> list[str]:
    """Answer the options of docker under which the image runs as it does in a pod."""
    return [
        f"--volume={properties}:/etc/millrace-kafka/server.properties:ro",
        "--env=PROPERTIES=/etc/millrace-kafka/server.properties",
        "--env=KAFKA_HEAP_OPTS=-Xms128m -Xmx192m",
        # The quick compiler only: half of the work of a start is the thorough one.
        "--env=KAFKA_JVM_PERFORMANCE_OPTS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "--read-only",
        "--tmpfs=/tmp",
    ]


def kafka_answers(bootstrap_servers: str) -> bool:
    """Say whether a broker serves clients."""
    try:
        return bool(AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0}).list_topics(timeout=1))
    except KafkaException:
        return False


@contextmanager
def kafka(folder: Path) -> Iterator[Server]:
    """Run Kafka of one node; its url is its bootstrap server."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    port = free_port()
    properties = folder / "server.properties"
    properties.write_text(kafka_properties(port))
    options, command = kafka_options(properties), ["sh", "-c", KAFKA_START]
    url = f"127.0.0.1:{port}"
    with _container(
        "millrace/kafka:4.3.1", port=port, inside=port, url=url, options=options, command=command
    ) as server:
        wait_for(lambda: kafka_answers(url), what="Kafka", limit_seconds=120)
        yield server


@contextmanager
def triton(models: Path, *arguments: str) -> Iterator[Server]:
    """Run Triton with the models of a folder; its url is that of gRPC."""
    port, http = free_port(), free_port()
    command = ["tritonserver", "--model-repository=/models", "--exit-timeout-secs=1", *arguments]
    options = [f"--volume={models}:/models:ro", "--shm-size=256m", f"--publish=127.0.0.1:{http}:8000"]
    url, image = f"127.0.0.1:{port}", "millrace/triton:dev"
    with _container(image, port=port, inside=8001, url=url, options=options, command=command) as server:
        wait_for(lambda: status(f"http://127.0.0.1:{http}/v2/health/ready") == HTTPStatus.OK, what="Triton")
        yield server


def status(address: str) -> int | None:
    """Ask a page for its status; None while nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - a page of this machine
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@dataclass
class Program(AbstractContextManager["Program"]):
    """A process of ours, which ends with its block; `log` is a file."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Start it, for the first time or again."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs
                self.command,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Say whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it and its children at once."""
        if self.process is not None and self.is_running:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)

    def end(self, *, limit_seconds: float = 15.0) -> None:
        """End it politely, and by force where that takes too long."""
        if self.process is None or not self.is_running:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def cpu_seconds(self) -> float:
        """Answer the time that it has computed so far."""
        if self.process is None:
            return 0.0
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def worker(folder: Path, *, queue: str, environment: Mapping[str, str], concurrency: int = 2) -> Program:
    """Describe a Celery worker of a pool; `environment` has MILLRACE_BROKER_URL, MILLRACE_REDIS_URL and what else."""
    command = [str(Path(sys.executable).parent / "celery"), "-A", "millrace_worker.app", "worker", "--pool=prefork"]
    command += [f"--concurrency={concurrency}", f"--queues={queue}", "--without-gossip", "--without-mingle"]
    own = {
        "MILLRACE_QUEUE": queue,
        "MILLRACE_CONCURRENCY": str(concurrency),
        "MILLRACE_STATE_DIR": str(folder / "state"),
        "MILLRACE_SYSTEM_QUEUE": queue,
    }
    return Program([*command, f"--hostname=worker@{folder.name}"], {**environment, **own}, folder / "worker.log")


def wait_for_worker(folder: Path) -> None:
    """Wait until the worker of this folder consumes."""
    wait_for((folder / "state" / "ready").exists, what=f"the worker; see {folder}/worker.log")


def bridge(folder: Path, *, stream: Mapping[str, Any], port: int, environment: Mapping[str, str]) -> Program:
    """Describe a bridge of a stream; `environment` has MILLRACE_BROKER_URL and MILLRACE_KAFKA_BOOTSTRAP_SERVERS."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "stream.json"
    file.write_text(json.dumps(stream))
    own = {"MILLRACE_INGEST_CONFIG_FILE": str(file), "MILLRACE_INGEST_PORT": str(port)}
    return Program([sys.executable, "-m", "millrace_ingest"], {**environment, **own}, folder / "bridge.log")


def wait_for_bridge(port: int) -> None:
    """Wait until a bridge has RabbitMQ and Kafka."""
    wait_for(lambda: status(f"http://127.0.0.1:{port}/readyz") == HTTPStatus.OK, what="the bridge")
