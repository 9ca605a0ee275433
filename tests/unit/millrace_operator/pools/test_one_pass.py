"""One pass over all pools: what is written, when, and how often it is told."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.pools.one_pass import PoolPass
from millrace_operator.settings import OperatorSettings

BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="RabbitMQ is away")


def worker_pool(name: str = "digits", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"namespace": "ml", "name": name, "uid": f"uid-{name}", "generation": 4},
        "spec": {"workloadRef": {"name": name}, "queue": name, "concurrency": 8, "maxReplicas": 20} | spec,
    }


@dataclass
class Cluster:
    """Stands in for the operator's context: remembers what was written, and shows it as a watch would."""

    pools: list[dict[str, Any]] = field(default_factory=lambda: [worker_pool()])
    replicas: dict[str, int] = field(default_factory=lambda: {"digits": 0})
    readings: dict[str, Reading] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    scales: list[int] = field(default_factory=list)
    refusal: Exception | None = None
    seconds: float = 1_000_000.0
    is_synced: bool = True

    def __post_init__(self) -> None:
        self.settings = OperatorSettings.model_construct(
            idle_seconds=60, pool_loop_seconds=1.0, status_interval_seconds=5.0
        )
        self.observer = self.kubernetes = self.clock = self
        self.passes = PoolPass(self)  # type: ignore[arg-type]  # plays all parts at once

    def run(self, *, after: float = 1.0, **readings: Reading) -> None:
        """Let some seconds pass, then run one pass."""
        self.seconds += after
        self.readings |= readings
        asyncio.run(self.passes.run())

    def worker_pools(self) -> list[dict[str, Any]]:
        """List the pools."""
        return self.pools

    def deployments(self) -> list[dict[str, Any]]:
        """List the Deployments."""
        return [
            {"metadata": {"namespace": "ml", "name": name}, "spec": {"replicas": count}, "status": {}}
            for name, count in self.replicas.items()
        ]

    def forget_worker_pool(self, uid: str) -> None:
        """Forget a pool."""
        self.pools = [pool for pool in self.pools if pool["metadata"]["uid"] != uid]

    def now(self) -> datetime:
        """Tell the time."""
        return datetime.fromtimestamp(self.seconds, tz=UTC)

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Answer with the readings of this moment."""
        return {queue: self.readings[queue] for queue in queues}

    async def scale_deployment(self, *, namespace: str, name: str, replicas: int) -> None:
        """Scale, unless writes are refused."""
        assert namespace == "ml"
        if self.refusal:
            raise self.refusal
        self.scales.append(replicas)
        self.replicas[name] = replicas

    async def patch_status(self, plural: str, *, namespace: str, name: str, status: dict[str, Any]) -> None:
        """Remember the status, unless writes are refused."""
        assert (plural, namespace) == ("workerpools", "ml")
        if self.refusal:
            raise self.refusal
        self.statuses.append(status | {"name": name})

    async def record_event(self, body: dict[str, Any], *, type_: str, reason: str, message: str, now: float) -> None:
        """Remember the Event."""
        assert (body["kind"], now, message[-1]) == ("WorkerPool", self.seconds, ".")
        self.events.append((type_, reason))

    def condition(self, kind: str) -> tuple[str, str]:
        """Read a condition of the last status."""
        found = next(each for each in self.statuses[-1]["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]


def queue(ready: int = 0, unacked: int = 0) -> QueueReading:
    return QueueReading(ready=ready, unacked=unacked, consumers=0)


def test_a_burst_is_written_once_and_told_in_status_and_event() -> None:
    cluster = Cluster()
    cluster.run(digits=queue(ready=96))
    cluster.run()

    assert cluster.scales == [12]
    assert cluster.events == [("Normal", "BacklogToDrain")]
    assert cluster.statuses[0]["desiredReplicas"] == 12
    assert cluster.statuses[0]["lastDecision"]["message"] == (
        "12 replicas: 96 tasks wait and 0 run, 8 slots a pod. Was 0."
    )


def test_counts_are_written_every_five_seconds_at_most() -> None:
    cluster = Cluster(replicas={"digits": 12})
    cluster.run(digits=queue(ready=96))
    for ready in range(95, 91, -1):
        cluster.run(digits=queue(ready=ready))
    assert len(cluster.statuses) == 1

    cluster.run(digits=queue(ready=91))
    assert [96, 91] == [status["queue"]["ready"] for status in cluster.statuses]


def test_a_new_decision_is_written_at_once() -> None:
    cluster = Cluster()
    cluster.run(digits=queue(ready=1))
    cluster.run(digits=queue(ready=100))

    assert [1, 13] == [status["desiredReplicas"] for status in cluster.statuses]


def test_what_did_not_change_is_not_written() -> None:
    cluster = Cluster()
    for _ in range(30):
        cluster.run(digits=queue())

    written = [{key: status[key] for key in ("desiredReplicas", "queue")} for status in cluster.statuses]
    assert {"desiredReplicas": 0, "queue": {"ready": 0, "unacked": 0, "consumers": 0}} == written[0]
    assert len(written) == 2, "the second write adds the arrival rate, measured after 10 s"


def test_an_outage_holds_the_pool_and_is_told_once_it_lasts() -> None:
    cluster = Cluster(replicas={"digits": 3})
    for _ in range(10):
        cluster.run(digits=BLIND)

    assert cluster.scales == []
    assert cluster.events == [("Warning", "MetricsUnavailable")]
    assert cluster.condition("MetricsAvailable") == ("False", "BrokerUnreachable")
    assert cluster.condition("ScalingActive") == ("False", "MetricsUnavailable")
    assert cluster.statuses[-1]["queue"] is None, "what was read before the outage is not true any more"

    cluster.run(digits=queue(ready=24))
    assert cluster.events[1:] == [("Normal", "MetricsAvailable")]
    assert cluster.condition("MetricsAvailable") == ("True", "QueueRead")


def test_a_missing_deployment_is_told_once_and_goes_on_when_it_appears() -> None:
    cluster = Cluster(replicas={})
    cluster.run(digits=queue(ready=8))
    cluster.run()
    assert cluster.events == [("Warning", "WorkloadNotFound")]
    assert cluster.condition("Ready") == ("False", "WorkloadNotFound")
    assert cluster.statuses[-1]["lastDecision"]["reason"] == "WorkloadNotFound"

    cluster.replicas["digits"] = 0
    cluster.run()
    assert cluster.scales == [1]


def test_a_refused_write_is_a_condition_and_is_tried_again() -> None:
    cluster = Cluster(refusal=KubernetesError("forbidden", status=403))
    cluster.run(digits=queue(ready=8))
    assert cluster.replicas == {"digits": 0}

    cluster.refusal = None
    cluster.run()
    assert cluster.scales == [1]


def test_a_pool_that_is_gone_is_forgotten() -> None:
    cluster = Cluster(refusal=ObjectNotFound("gone", status=404))
    cluster.run(digits=queue())

    assert cluster.pools == []
    cluster.run()


def test_an_advisory_pool_reports_and_writes_no_replicas() -> None:
    cluster = Cluster(pools=[worker_pool(mode="Advisory")])
    cluster.run(digits=queue(ready=80))

    assert (cluster.scales, cluster.statuses[0]["desiredReplicas"]) == ([], 10)
    assert cluster.condition("ScalingActive") == ("False", "Advisory")


def test_after_a_restart_times_of_what_did_not_change_are_kept() -> None:
    cluster = Cluster()
    cluster.run(digits=queue(ready=1000))
    cluster.pools[0]["status"] = dict(cluster.statuses[-1])
    cluster.passes = PoolPass(cluster)  # type: ignore[arg-type]  # plays all parts at once
    cluster.run(after=100, digits=queue(ready=999))

    assert cluster.statuses[0]["lastDecision"]["time"] == cluster.statuses[-1]["lastDecision"]["time"]
    ready = [status["conditions"][2]["lastTransitionTime"] for status in (cluster.statuses[0], cluster.statuses[-1])]
    assert ready[0] == ready[1]


def test_one_pool_that_cannot_be_read_does_not_hold_up_another() -> None:
    cluster = Cluster(pools=[worker_pool("a"), worker_pool("b")], replicas={"a": 0, "b": 0})
    cluster.run(a=BLIND, b=queue(ready=8))

    assert cluster.replicas == {"a": 0, "b": 1}
