"""What the pool loop needs of its surroundings; `handlers.context` has it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.clock import Clock
from millrace_operator.observation.ports import QueueObserver
from millrace_operator.settings import OperatorSettings

Body = Mapping[str, Any]


class PoolLoopContext(Protocol):
    """Settings, clients, and the objects that are known now."""

    @property
    def settings(self) -> OperatorSettings:
        """How often, and for how long."""
        ...

    @property
    def observer(self) -> QueueObserver:
        """Who reads the queues."""
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

    def forget_worker_pool(self, uid: str) -> None:
        """Forget a pool that turned out to be gone."""
        ...
