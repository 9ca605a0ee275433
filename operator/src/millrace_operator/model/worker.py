"""What a Celery worker said of itself in its last heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker process group: one node name of Celery."""

    node: str
    """Celery's node name, such as worker@digits-5c7-abcde: where control commands are sent to."""
    active: int
    """Tasks that run in its pool now. Always 0 for `-P solo`, which is silent during a task."""
    processed: int
    """Tasks that it started since it began."""
    heard_at: float
    """When its last heartbeat arrived, in seconds since the epoch."""
    first_heard_at: float
    """When its first heartbeat arrived."""
    interval_seconds: float = 2.0
    """How often it promises to send one."""
    is_offline: bool = False
    """It said that it stops."""

    @property
    def pod(self) -> str:
        """The host part of the node name, which is the pod's name unless the workers were told another."""
        return self.node.partition("@")[2]


Workers = Mapping[str, Worker]
"""All workers that were heard lately, by node name."""
