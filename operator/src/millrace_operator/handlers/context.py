"""What the control loops work with, made once at start by `__main__` and handed to each of them.

The loops declare the part that they use as a Protocol of their own; this class satisfies them by its shape, so that no
loop imports `handlers`.
"""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from millrace_operator.actuation.drain import Drainer
from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.clock import Clock
from millrace_operator.handlers.heartbeats import Heartbeats
from millrace_operator.handlers.object_store import ObjectStore
from millrace_operator.observation.held_back import HeldBackTasks
from millrace_operator.observation.outlook import OutlookObserver
from millrace_operator.observation.sources import Sources
from millrace_operator.observation.triton import TritonLoads
from millrace_operator.reporting.pool_waits import WaitBoard
from millrace_operator.settings import OperatorSettings

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorContext:
    """Settings, clients and the objects that are known now."""

    settings: OperatorSettings
    redis: Redis
    """Answers are str (decode_responses); each command has a time limit of settings.redis_timeout_seconds."""
    publisher: PlanPublisher
    """Its methods return after the broker confirmed the message, or raise PublishError."""
    sources: Sources
    heartbeats: Heartbeats
    future: OutlookObserver
    inference: TritonLoads
    drainer: Drainer
    waits: WaitBoard
    held_back: HeldBackTasks
    """The job loop tells it what the pool loop asks."""
    kubernetes: KubernetesApi
    """Writes: replace_status, record_event, delete_object; reads: get_object. All async; they raise KubernetesError."""
    objects: ObjectStore
    clock: Clock
    """`now()` is a datetime in UTC, `monotonic_seconds()` is for intervals."""

    def worker_pools(self) -> tuple[Body, ...]:
        """List all WorkerPools, as raw bodies."""
        return self.objects.worker_pools.bodies()

    def prediction_jobs(self) -> tuple[Body, ...]:
        """List all PredictionJobs, as raw bodies."""
        return self.objects.prediction_jobs.bodies()

    def has_prediction_job(self, uid: str) -> bool:
        """Tell whether a PredictionJob is there now."""
        return uid in self.objects.prediction_jobs

    def deployments(self) -> tuple[Body, ...]:
        """List all Deployments of the watched namespaces, without their pod templates."""
        return self.objects.deployments.bodies()

    def pods(self) -> tuple[Body, ...]:
        """List the pods of all Deployments of the watched namespaces, without their specs."""
        return self.objects.pods.bodies()

    def capacity_budgets(self) -> tuple[Body, ...]:
        """List all CapacityBudgets, as raw bodies."""
        return self.objects.capacity_budgets.bodies()

    @property
    def is_synced(self) -> bool:
        """Tell whether every object was listed once: before that, an object that is missing here may exist."""
        return self.objects.is_synced

    def forget_worker_pool(self, uid: str) -> None:
        """Forget a WorkerPool that turned out to be gone."""
        self.objects.worker_pools.remove(uid)

    def start(self) -> None:
        """Begin to listen to workers and to what is delayed."""
        self.heartbeats.start()
        self.future.start()

    async def close(self) -> None:
        """Close all connections."""
        await self.drainer.close()
        await self.future.close()
        await self.heartbeats.close()
        await self.inference.close()
        await self.sources.close()
        await self.publisher.close()
        await self.redis.aclose()
