"""Who scales the workers: Millrace as its chart installs it, or KEDA as its users tune it; each cleans up."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from millrace_loadtest.live.cluster import PROJECT_ROOT, BenchError, Cluster, Resource, run, wait_until
from millrace_loadtest.live.rig import BROKER_URL, object_of

RELEASE: Final = "bench"
READY_SECONDS: Final = 90.0


class Scaler(Protocol):
    """Scales one Deployment while its context is open."""

    @property
    def name(self) -> str:
        """A word for files and tables."""

    @property
    def title(self) -> str:
        """For the picture."""

    def active(self, cluster: Cluster, *, deployment: str, queue: str, cap: int) -> Any:
        """Answer a context in which it has seen the empty queue and is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Millrace:
    """The operator from its chart and one WorkerPool, everything else at its defaults."""

    wait_seconds: int
    percentile: int = 95
    name: str = "millrace"

    @property
    def title(self) -> str:
        """For the picture."""
        return f"Millrace, objective {self.wait_seconds} s p{self.percentile}"

    @contextmanager
    def active(self, cluster: Cluster, *, deployment: str, queue: str, cap: int) -> Iterator[None]:
        """Install the operator, make the pool, and remove both at the end."""
        with operator(cluster):
            objective = {"waitSeconds": self.wait_seconds, "percentile": self.percentile}
            cluster.apply([worker_pool("workers", deployment=deployment, queue=queue, cap=cap, objective=objective)])
            wait_until(
                lambda: sees_the_queue(cluster, "workers"),
                what="the pool's queue to be read",
                timeout_seconds=READY_SECONDS,
            )
            yield
        cluster.kubectl("delete", "workerpools.millrace.dev", "workers")


def worker_pool(name: str, *, deployment: str, queue: str, cap: int, **spec: Any) -> Resource:
    """Make a WorkerPool."""
    what = {"workloadRef": {"name": deployment}, "queue": queue, "maxReplicas": cap, **spec}
    return object_of("WorkerPool", name, api="millrace.dev/v1alpha1", spec=what)


def condition(found: Resource, kind: str) -> str:
    """Answer the status of a condition of an object; empty where it has none."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((str(each["status"]) for each in conditions if each["type"] == kind), "")


def sees_the_queue(cluster: Cluster, pool: str) -> bool:
    """Say whether the operator has read the queue of a pool."""
    return condition(cluster.get("workerpools.millrace.dev", pool), "MetricsAvailable") == "True"


@contextmanager
def operator(cluster: Cluster, *, broker_host: str = "rabbitmq", **values: Any) -> Iterator[None]:
    """Have the operator of this checkout in the namespace; it serves this namespace alone."""
    run(
        "kubectl",
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=helm",
        "--filename",
        str(PROJECT_ROOT / "manifests" / "crds"),
    )
    secret = {"broker-url": BROKER_URL.replace("@rabbitmq:", f"@{broker_host}:"), "redis-url": "redis://redis:6379/0"}
    cluster.apply([object_of("Secret", "bench-connections", stringData=secret)])
    given = {
        "image": {"tag": "dev"},
        "connections": {
            "existingSecret": "bench-connections",
            "brokerMetricsUrls": [f"http://{broker_host}:15692"],
        },
        **values,
    }
    chart = str(PROJECT_ROOT / "charts" / "millrace-operator")
    where = ("--namespace", cluster.namespace)
    command = ("helm", "upgrade", "--install", RELEASE, chart, *where, "--values=-", "--wait", "--timeout=120s")
    run(*command, stdin=json.dumps(given), timeout_seconds=150)
    try:
        yield
    finally:
        run("helm", "uninstall", RELEASE, *where, "--wait", "--timeout=60s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keda:
    """A ScaledObject as a user writes who has read the manual: poll every 5 s, one message a pod."""

    name: str
    title: str
    scale_down_window_seconds: int | None = None
    """None leaves the HPA's default of 300 s."""

    def scaled_object(self, *, deployment: str, queue: str, cap: int) -> Resource:
        """Make the ScaledObject."""
        window = self.scale_down_window_seconds
        behavior = {} if window is None else {"scaleDown": {"stabilizationWindowSeconds": window}}
        trigger = {
            "type": "rabbitmq",
            "metadata": {"protocol": "http", "queueName": queue, "mode": "QueueLength", "value": "1"},
            "authenticationRef": {"name": "rabbitmq"},
        }
        spec: Resource = {
            "scaleTargetRef": {"name": deployment},
            "pollingInterval": 5,
            "cooldownPeriod": 30,
            "minReplicaCount": 0,
            "maxReplicaCount": cap,
            "triggers": [trigger],
        }
        if behavior:
            spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
        return object_of("ScaledObject", "workers", api="keda.sh/v1alpha1", spec=spec)

    @contextmanager
    def active(self, cluster: Cluster, *, deployment: str, queue: str, cap: int) -> Iterator[None]:
        """Make the ScaledObject, wait for its HPA, and remove it at the end."""
        if not run("kubectl", "get", "crd", "scaledobjects.keda.sh", "--ignore-not-found", "--output=name").strip():
            raise BenchError(
                "KEDA is not in the cluster; run 'local/keda.sh install', or 'make bench-keda', which does"
            )
        host = f"http://bench:bench@rabbitmq.{cluster.namespace}.svc:15672/bench"
        reference = [{"parameter": "host", "name": "keda-rabbitmq", "key": "host"}]
        cluster.apply(
            [
                object_of("Secret", "keda-rabbitmq", stringData={"host": host}),
                object_of(
                    "TriggerAuthentication", "rabbitmq", api="keda.sh/v1alpha1", spec={"secretTargetRef": reference}
                ),
                self.scaled_object(deployment=deployment, queue=queue, cap=cap),
            ]
        )
        try:
            wait_until(
                lambda: condition(cluster.get("scaledobjects.keda.sh", "workers"), "Ready") == "True",
                what="the ScaledObject to be ready",
                timeout_seconds=READY_SECONDS,
            )
            yield
        finally:
            cluster.kubectl("delete", "scaledobjects.keda.sh", "workers", "--wait", "--timeout=60s")


MILLRACE: Final = Millrace(wait_seconds=30)
SCALERS: Final[tuple[Scaler, ...]] = (
    MILLRACE,
    Keda(name="keda-tuned", title="KEDA 2.21, poll 5 s, 1 message a pod"),
    Keda(
        name="keda-tuned-down-30",
        title="KEDA 2.21, the same, scale-down window 30 s",
        scale_down_window_seconds=30,
    ),
)
