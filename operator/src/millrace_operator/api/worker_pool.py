"""The typed view of a WorkerPool: what the object says, before anything is decided about it.

The API server has filled in the schema's defaults and refused what the schema can know to be wrong; the same defaults
stand here for objects from before a default existed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Mode(StrEnum):
    """What the operator may do with a pool."""

    AUTO = "Auto"
    ADVISORY = "Advisory"
    """Compute and report, write nothing."""
    PAUSED = "Paused"
    """Hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What to do when the queue cannot be read for long."""

    failure_threshold: int
    """Unreadable in this many passes in a row."""
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The wait that users accept before a task starts."""

    wait_seconds: float = 30.0
    percentile: int = 95

    @property
    def tolerated_share(self) -> float:
        """Share of tasks that may wait longer."""
        return 1.0 - self.percentile / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A floor of replicas that begins at the moments of a cron expression."""

    cron: str
    """Five fields, minute to day of week."""
    time_zone: str = "UTC"
    """A name of the IANA database."""
    min_replicas: int
    duration_seconds: float | None = None
    """How long it holds; None: until any schedule of the pool begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReference:
    """The CapacityBudget that a pool draws on."""

    name: str
    units_per_replica: int = 1


class SourceType(StrEnum):
    """Where the backlog is read."""

    RABBITMQ = "RabbitMQ"
    REDIS = "Redis"
    PROMETHEUS = "Prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the backlog of a pool is read."""

    type: SourceType = SourceType.RABBITMQ
    waiting_query: str = ""
    """PromQL: tasks that wait. Only of type Prometheus, as the others."""
    running_query: str = ""
    """PromQL: tasks that run; empty: not known, counted by the workers' heartbeats."""
    completed_query: str = ""
    """PromQL: a counter of tasks that ended; empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonReference:
    """Where the metrics of the pool's Triton are: a URL, or a port of each pod."""

    metrics_url: str = ""
    metrics_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """What the user asks of a pool."""

    concurrency: int
    """Task slots of a pod."""
    min_replicas: int
    max_replicas: int
    objective: Objective = Objective()
    idle_seconds: float | None = None
    """How long demand must stay lower before replicas go; None: learned."""
    mode: Mode = Mode.AUTO
    fallback: Fallback | None = None
    schedules: tuple[Schedule, ...] = ()
    priority: int = 1
    """Weight of the pool's share of a short budget."""
    budget: BudgetReference | None = None
    drain_timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """How a Deployment of workers is scaled, as the cluster holds it."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: str
    queue: str
    deployment: str
    policy: PoolPolicy
    source: Source = Source()
    triton: TritonReference | None = None
    status: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.namespace, self.name)

    @classmethod
    def from_body(cls, body: Mapping[str, Any], *, default_idle_seconds: float | None = None) -> "WorkerPool":
        """View an object of the API as a pool."""
        metadata, spec = body["metadata"], body["spec"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=int(metadata.get("generation", 0)),
            created=str(metadata.get("creationTimestamp", "")),
            queue=spec["queue"],
            deployment=spec["workloadRef"]["name"],
            policy=_policy(spec, default_idle_seconds),
            source=_source(spec.get("source") or {}),
            triton=_triton(spec.get("triton") or {}),
            status=body.get("status") or {},
        )


def _policy(spec: Mapping[str, Any], default_idle_seconds: float | None) -> PoolPolicy:
    objective, idle_seconds = spec.get("objective") or {}, spec.get("idleSeconds", default_idle_seconds)
    return PoolPolicy(
        concurrency=int(spec.get("concurrency", 1)),
        min_replicas=int(spec.get("minReplicas", 0)),
        max_replicas=int(spec["maxReplicas"]),
        objective=Objective(
            wait_seconds=float(objective.get("waitSeconds", 30)), percentile=int(objective.get("percentile", 95))
        ),
        idle_seconds=None if idle_seconds is None else float(idle_seconds),
        mode=Mode(spec.get("mode", Mode.AUTO)),
        fallback=_fallback(spec.get("fallback")),
        schedules=tuple(map(_schedule, spec.get("schedules") or ())),
        priority=int(spec.get("priority", 1)),
        budget=_budget(spec.get("budgetRef")),
        drain_timeout_seconds=float((spec.get("drain") or {}).get("timeoutSeconds", 600)),
    )


def _fallback(spec: Mapping[str, Any] | None) -> Fallback | None:
    if spec is None:
        return None
    return Fallback(failure_threshold=int(spec.get("failureThreshold", 30)), replicas=int(spec["replicas"]))


def _schedule(spec: Mapping[str, Any]) -> Schedule:
    duration = spec.get("durationSeconds")
    return Schedule(
        cron=spec["cron"],
        time_zone=spec.get("timeZone", "UTC"),
        min_replicas=int(spec["minReplicas"]),
        duration_seconds=None if duration is None else float(duration),
    )


def _budget(spec: Mapping[str, Any] | None) -> BudgetReference | None:
    if spec is None:
        return None
    return BudgetReference(name=spec["name"], units_per_replica=int(spec.get("unitsPerReplica", 1)))


def _source(spec: Mapping[str, Any]) -> Source:
    queries = spec.get("prometheus") or {}
    return Source(
        type=SourceType(spec.get("type", SourceType.RABBITMQ)),
        waiting_query=queries.get("waitingQuery", ""),
        running_query=queries.get("runningQuery", ""),
        completed_query=queries.get("completedQuery", ""),
    )


def _triton(spec: Mapping[str, Any]) -> TritonReference | None:
    if not spec:
        return None
    return TritonReference(metrics_url=spec.get("metricsURL", ""), metrics_port=spec.get("metricsPort"))
