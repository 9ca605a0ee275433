"""What every live benchmark stands on: its own RabbitMQ and Redis, plain Celery workers, one pod that plays loads.

The workers ask for next to nothing, so that the node takes all of them; they know nothing of who scales them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final

from millrace_loadtest.live.cluster import Cluster, Resource

WORKER_IMAGE: Final = "millrace/worker:dev"
RABBITMQ_IMAGE: Final = "millrace/rabbitmq:4.3.6"
REDIS_IMAGE: Final = "millrace/redis:8"
BROKER_URL: Final = "amqp://bench:bench@rabbitmq:5672/bench"
REDIS_URL: Final = "redis://redis:6379/1"
# A throw-away broker in a namespace that lives for minutes: its password protects nothing.
RABBITMQ_SETTINGS: Final = "default_user = bench\ndefault_pass = bench\ndefault_vhost = bench\nloopback_users = none\n"
ENVIRONMENT: Final = [
    {"name": "BENCH_BROKER_URL", "value": BROKER_URL},
    {"name": "BENCH_REDIS_URL", "value": REDIS_URL},
    {"name": "PYTHONPATH", "value": "/bench"},
]
PROGRAMS: Final = ("plain_app.py", "play.py", "door.py", "hold_queues.py")


def object_of(kind: str, name: str, *, api: str = "v1", **content: Any) -> Resource:
    """Make an object."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **content}


def deployment(name: str, container: Resource, *, replicas: int = 1, grace_seconds: int = 1, **pod: Any) -> Resource:
    """Make a Deployment of one container."""
    labels = {"app": name}
    volumes = [
        {"name": "programs", "configMap": {"name": "programs"}},
        {"name": "rabbitmq", "configMap": {"name": "rabbitmq"}},
    ]
    spec: Resource = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": grace_seconds,
                "enableServiceLinks": False,
                "automountServiceAccountToken": False,
                "containers": [{"name": name, "imagePullPolicy": "IfNotPresent", **container}],
                "volumes": volumes,
                **pod,
            },
        },
    }
    return object_of("Deployment", name, api="apps/v1", spec=spec)


def service(name: str, app: str, *ports: int) -> Resource:
    """Make a Service of a Deployment's pods."""
    named = [{"name": f"p{port}", "port": port} for port in ports]
    return object_of("Service", name, spec={"selector": {"app": app}, "ports": named})


def worker_deployment(name: str, *, queue: str, notes: str, grace_seconds: int = 30) -> Resource:
    """Make an empty Deployment of plain Celery workers, one slot each; from then on its replicas belong to a scaler."""
    command = "celery -A plain_app worker --pool=prefork --concurrency=1 --without-gossip --without-mingle"
    container = {
        "image": WORKER_IMAGE,
        "command": [*command.split(), f"--queues={queue}", "--loglevel=INFO"],
        "env": [*ENVIRONMENT, {"name": "BENCH_QUEUE", "value": queue}, {"name": "BENCH_NOTES", "value": notes}],
        "resources": {"requests": {"cpu": "1m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "programs", "mountPath": "/bench"}],
    }
    return deployment(name, container, replicas=0, grace_seconds=grace_seconds)


def services_of_the_rig() -> list[Resource]:
    """Make the broker, Redis, and the pod that plays loads."""
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    programs = {name: (files("millrace_loadtest.live.in_cluster") / name).read_text() for name in PROGRAMS}
    broker = {
        "image": RABBITMQ_IMAGE,
        "readinessProbe": {"tcpSocket": {"port": 5672}, "periodSeconds": 1},
        "resources": small,
        "volumeMounts": [{"name": "rabbitmq", "mountPath": "/etc/rabbitmq/conf.d/90-bench.conf", "subPath": "conf"}],
    }
    player = {
        "image": WORKER_IMAGE,
        "command": ["sleep", "infinity"],
        "env": ENVIRONMENT,
        "resources": small,
        "volumeMounts": [{"name": "programs", "mountPath": "/bench"}],
    }
    door = {
        "image": WORKER_IMAGE,
        "command": ["python", "/bench/door.py", "rabbitmq", "5672", "15692"],
        "env": ENVIRONMENT,
        "resources": small,
        "volumeMounts": [{"name": "programs", "mountPath": "/bench"}],
    }
    redis = {
        "image": REDIS_IMAGE,
        "command": ["redis-server", "--save", "", "--protected-mode", "no"],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "resources": small,
    }
    return [
        object_of("ConfigMap", "programs", data=programs),
        object_of("ConfigMap", "rabbitmq", data={"conf": RABBITMQ_SETTINGS}),
        deployment("rabbitmq", broker),
        service("rabbitmq", "rabbitmq", 5672, 15672, 15692),
        deployment("redis", redis),
        service("redis", "redis", 6379),
        deployment("player", player),
        deployment("door", door),
        service("door", "door", 5672, 15692),
    ]


@contextmanager
def rig(cluster: Cluster) -> Iterator[None]:
    """Have the rig in an empty namespace, and remove the namespace at the end."""
    cluster.make_namespace()
    try:
        cluster.apply(services_of_the_rig())
        for name in ("rabbitmq", "redis", "player", "door"):
            cluster.wait_for_rollout(name)
        yield
    finally:
        cluster.remove_namespace()
