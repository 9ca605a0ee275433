"""What the pool loop needs of its surroundings; `handlers.context` has it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from millrace_operator.actuation.drain import DrainReport
from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.api.worker_pool import TritonReference, WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.model.decision import ScalingDecision
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Reading
from millrace_operator.model.worker import Worker, Workers
from millrace_operator.pools.workload import Key
from millrace_operator.reporting.report import PoolReport
from millrace_operator.settings import OperatorSettings

Body = Mapping[str, Any]


class QueueSources(Protocol):
    """Reads the backlog of pools, wherever it is. Never raises for a source that is away: that is Unknown."""

    async def observe(
        self, pools: Sequence[WorkerPool], *, workers: Mapping[Key, Sequence[Worker]]
    ) -> Mapping[Key, Reading]:
        """Read the backlog of all pools at once; the answer has each of them."""
        ...


class Heartbeats(Protocol):
    """Hears the workers."""

    def workers(self, now: float) -> Workers:
        """Tell what all workers said last."""
        ...

    def is_settled(self, now: float) -> bool:
        """Tell whether every worker that lives must have been heard by now."""
        ...


class KnownFuture(Protocol):
    """Knows tasks that will come."""

    @property
    def is_beat_ticking(self) -> bool | None:
        """Whether a Beat holds the lock of the schedule; None: not known."""
        ...

    def outlook(self, queues: Collection[str], now: float, horizon_seconds: float) -> Mapping[str, Outlook]:
        """Tell what comes due, by queue."""
        ...


class HeldBackTasks(Protocol):
    """Knows tasks that wait in no queue."""

    async def look_again(self) -> None:
        """Look again at what may have changed since; does not raise."""
        ...

    def of(self, pool: Key) -> int:
        """Tell how many tasks prediction jobs hold back for a pool."""
        ...


class InferenceLoads(Protocol):
    """Watches Tritons."""

    async def loads(
        self, pools: Mapping[Key, tuple[TritonReference, Sequence[str]]]
    ) -> Mapping[Key, InferenceLoad | None]:
        """Tell how the pools' Tritons get on; None: not known."""
        ...


class Drainer(Protocol):
    """Makes a pool smaller without touching a worker that works."""

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
        """Do what can be done now."""
        ...

    def is_draining(self, uid: str) -> bool:
        """Tell whether pods of a pool are to go."""
        ...

    def forget(self, uid: str) -> None:
        """Forget a pool that is gone."""
        ...


class Waits(Protocol):
    """Tells others what tasks will wait."""

    async def show(self, reports: Sequence[PoolReport], *, now: float) -> None:
        """Replace what was told before; never raises for a Redis that is away."""
        ...


class PoolLoopContext(Protocol):
    """Settings, clients, and the objects that are known now."""

    @property
    def settings(self) -> OperatorSettings:
        """How often, and for how long."""
        ...

    @property
    def sources(self) -> QueueSources:
        """Who reads the queues."""
        ...

    @property
    def heartbeats(self) -> Heartbeats:
        """Who hears the workers."""
        ...

    @property
    def future(self) -> KnownFuture:
        """Who knows what comes."""
        ...

    @property
    def held_back(self) -> HeldBackTasks:
        """Who knows what waits in no queue."""
        ...

    @property
    def inference(self) -> InferenceLoads:
        """Who watches Triton."""
        ...

    @property
    def drainer(self) -> Drainer:
        """Who removes pods."""
        ...

    @property
    def waits(self) -> Waits:
        """Who tells gateways what tasks will wait."""
        ...

    @property
    def kubernetes(self) -> KubernetesApi:
        """Who writes replicas, status and Events."""
        ...

    @property
    def clock(self) -> Clock:
        """What time it is."""
        ...

    @property
    def is_synced(self) -> bool:
        """Whether every object was listed once."""
        ...

    def worker_pools(self) -> Sequence[Body]:
        """List all WorkerPools."""
        ...

    def deployments(self) -> Sequence[Body]:
        """List all Deployments."""
        ...

    def pods(self) -> Sequence[Body]:
        """List the pods of all Deployments."""
        ...

    def capacity_budgets(self) -> Sequence[Body]:
        """List all CapacityBudgets."""
        ...

    def forget_worker_pool(self, uid: str) -> None:
        """Forget a pool that turned out to be gone."""
        ...
