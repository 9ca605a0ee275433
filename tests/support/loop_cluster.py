"""A cluster in memory for the pool loop: it remembers what was written, and shows it as a watch would."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from millrace_operator.actuation.drain import DrainReport
from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.decision.drain_memory import News
from millrace_operator.model.decision import ScaleOutcome, ScalingDecision
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import QueueReading, Reading
from millrace_operator.model.worker import Worker, Workers
from millrace_operator.observation.held_back import HeldBackTasks
from millrace_operator.pools.one_pass import PoolPass
from millrace_operator.reporting.report import PoolReport
from millrace_operator.settings import OperatorSettings

START = 1_000_000.0
HANG_SECONDS = 60
"""After which something that goes on after a pass is given up."""


def worker_pool(name: str = "digits", **spec: Any) -> dict[str, Any]:
    """Make a WorkerPool of eight slots a pod."""
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"namespace": "ml", "name": name, "uid": f"uid-{name}", "generation": 4},
        "spec": {"workloadRef": {"name": name}, "queue": name, "concurrency": 8, "maxReplicas": 20} | spec,
    }


def capacity_budget(name: str = "gpus", *, capacity: int) -> dict[str, Any]:
    """Make a CapacityBudget."""
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "CapacityBudget",
        "metadata": {"namespace": "ml", "name": name, "uid": f"uid-budget-{name}", "generation": 1},
        "spec": {"capacity": capacity, "unit": "GPU"},
    }


def raw_pod(name: str, *, deployment: str = "digits", at: float = START, ready: bool = True, **more: Any) -> Any:
    """Make a pod as it is kept, created at a moment of the cluster's clock."""
    moment = datetime.fromtimestamp(int(at), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {
            "namespace": "ml",
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": moment,
            "labels": {"pod-template-hash": "5c7"},
            "annotations": more.get("annotations", {}),
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{deployment}-5c7"}],
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": moment},
                *more.get("conditions", ()),
            ],
        },
    }


def worker_in(pod: str, *, at: float = START, active: int = 0) -> Worker:
    """Make a worker that was heard first at a moment of the cluster's clock."""
    return Worker(node=f"worker@{pod}", active=active, processed=0, heard_at=at, first_heard_at=at)


def queue(ready: int = 0, unacked: int = 0, at: float = START) -> QueueReading:
    """Read a queue."""
    return QueueReading(read_at=at, ready=ready, unacked=unacked, consumers=0)


@dataclass
class LoopCluster:
    """Stands in for the operator's context and for all that it knows."""

    pools: list[dict[str, Any]] = field(default_factory=lambda: [worker_pool()])
    replicas: dict[str, int] = field(default_factory=lambda: {"digits": 0})
    pod_bodies: list[Any] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    heard: list[Worker] = field(default_factory=list)
    readings: dict[str, Reading] = field(default_factory=dict)
    load: InferenceLoad | None = None
    statuses: list[dict[str, Any]] = field(default_factory=list)
    budget_statuses: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    reports: Sequence[PoolReport] = ()
    """Of the last pass, as others are told of the waits in it."""
    scales: list[int] = field(default_factory=list)
    steps: list[tuple[int, int, bool]] = field(default_factory=list)
    """What the drainer was asked for: replicas that are asked, replicas decided, whether that binds."""
    refusal: Exception | None = None
    manager: str = "millrace-operator"
    """Who wrote replicas last, as the API server writes it down."""
    seconds: float = START
    is_synced: bool = True
    is_beat_ticking: bool | None = None

    def __post_init__(self) -> None:
        """Play all parts at once."""
        self.settings = OperatorSettings.model_construct(
            idle_seconds=60, pool_loop_seconds=1.0, status_interval_seconds=5.0
        )
        self.sources = self.heartbeats = self.future = self.inference = self
        self.drainer = self.kubernetes = self.clock = self.waits = self
        self.held_back = HeldBackTasks()
        self.restart()

    def restart(self) -> None:
        """Start the operator anew."""
        self.passes = PoolPass(self)  # type: ignore[arg-type]  # plays all parts at once

    def run(self, *, after: float = 1.0, **readings: Reading) -> None:
        """Let some seconds pass, then run one pass."""
        self.seconds += after
        self.readings |= readings
        asyncio.run(self._pass_and_pause())

    async def _pass_and_pause(self) -> None:
        await self.passes.run()
        if telling := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(telling, timeout=HANG_SECONDS)

    def run_for(self, passes: int) -> None:
        """Run a pass a second."""
        for _ in range(passes):
            self.run()

    def condition(self, kind: str) -> tuple[str, str]:
        """Read a condition of the last status."""
        found = next(each for each in self.statuses[-1]["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]

    # What the operator knows

    def worker_pools(self) -> Sequence[dict[str, Any]]:
        """List the pools."""
        return tuple(self.pools)

    def deployments(self) -> Sequence[dict[str, Any]]:
        """List the Deployments."""
        return tuple(
            {
                "metadata": {"namespace": "ml", "name": name, "uid": f"uid-deployment-{name}"},
                "spec": {"replicas": count},
                "status": {},
                "replicasManager": self.manager,
            }
            for name, count in self.replicas.items()
        )

    def pods(self) -> Sequence[Any]:
        """List the pods."""
        return tuple(self.pod_bodies)

    def capacity_budgets(self) -> Sequence[dict[str, Any]]:
        """List the budgets."""
        return tuple(self.budgets)

    def forget_worker_pool(self, uid: str) -> None:
        """Forget a pool."""
        self.pools = [pool for pool in self.pools if pool["metadata"]["uid"] != uid]

    def now(self) -> datetime:
        """Tell the time."""
        return datetime.fromtimestamp(self.seconds, tz=UTC)

    def monotonic_seconds(self) -> float:
        """Stand still while a pass runs."""
        return self.seconds

    async def observe(self, pools: Sequence[WorkerPool], *, workers: object) -> Mapping[tuple[str, str], Reading]:
        """Answer with the readings of this moment."""
        assert workers == {}
        return {pool.key: self.readings[pool.queue] for pool in pools}

    def workers(self, now: float) -> Workers:
        """Tell who is heard."""
        assert now == self.seconds
        return {worker.node: worker for worker in self.heard}

    def is_settled(self, now: float) -> bool:
        """Hear everybody at once."""
        return now >= START

    def outlook(self, queues: Collection[str], now: float, horizon_seconds: float) -> Mapping[str, Outlook]:
        """Know nothing of the future."""
        assert (now, horizon_seconds >= 60) == (self.seconds, True)
        return dict.fromkeys(queues, ())

    async def loads(self, pools: Mapping[tuple[str, str], object]) -> Mapping[tuple[str, str], InferenceLoad | None]:
        """Tell of every pool's Triton the same."""
        return dict.fromkeys(pools, self.load)

    # What the operator does

    async def scale_deployment(self, *, namespace: str, name: str, replicas: int) -> None:
        """Scale, unless writes are refused."""
        assert namespace == "ml"
        if self.refusal:
            raise self.refusal
        self.scales.append(replicas)
        self.replicas[name] = replicas

    async def step(
        self,
        pool: WorkerPool,
        *,
        state: PoolState,
        pods: tuple[Pod, ...],
        workers: Workers,
        reading: Reading,
        decision: ScalingDecision,
        now: float,
    ) -> DrainReport:
        """Take pods away at once, as if all were idle."""
        assert (len(pods) >= len(workers), reading, now) == (True, self.readings[pool.queue], self.seconds)
        self.steps.append((state.asked, decision.replicas, decision.is_binding))
        if not decision.is_binding or decision.replicas >= state.asked:
            return DrainReport(outcome=ScaleOutcome(previous=state.asked, current=state.asked))
        self.replicas[pool.deployment] = decision.replicas
        return DrainReport(
            outcome=ScaleOutcome(previous=state.asked, current=decision.replicas),
            news=(News(type="Normal", reason="PodsRemoved", message="They were idle."),),
        )

    async def show(self, reports: Sequence[PoolReport], *, now: float) -> None:
        """Remember what was told."""
        assert now == self.seconds
        self.reports = reports

    def is_draining(self, uid: str) -> bool:
        """Have nothing that drains by itself."""
        assert uid
        return False

    def forget(self, uid: str) -> None:
        """Remember nothing anyway."""

    async def replace_status(
        self, plural: str, *, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> None:
        """Remember the status, unless writes are refused."""
        assert (namespace, uid.endswith(name)) == ("ml", True)
        if self.refusal:
            raise self.refusal
        statuses = self.statuses if plural == "workerpools" else self.budget_statuses
        statuses.append(dict(status) | {"name": name})

    async def record_event(self, body: dict[str, Any], *, type_: str, reason: str, message: str, now: float) -> None:
        """Remember the Event."""
        assert (body["kind"], now, message[-1]) == ("WorkerPool", self.seconds, ".")
        self.events.append((type_, reason))
        self.messages.append(message)
