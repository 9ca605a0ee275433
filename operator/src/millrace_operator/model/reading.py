"""What was seen of a queue, or that it could not be seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReading:
    """What the broker said of one queue at one moment. A zero here is a measurement."""

    ready: int
    """Messages that wait; live."""
    unacked: int
    """Messages that workers hold; up to 5 s old, as RabbitMQ refreshes the gauges of quorum queues."""
    consumers: int
    acked_by_node: Mapping[str, int] = field(default_factory=dict)
    """Acks so far, for each broker node that was read. A node that restarts begins at 0."""
    dead_letters: int | None = None
    """Messages in the dead-letter queue; None when there is none or it cannot be read."""

    @property
    def tasks(self) -> int:
        """All tasks that are not done."""
        return self.ready + self.unacked


class Blindness(StrEnum):
    """Why a queue cannot be read."""

    BROKER_UNREACHABLE = "BrokerUnreachable"
    QUEUE_NOT_FOUND = "QueueNotFound"
    QUEUE_WITHOUT_LEADER = "QueueWithoutLeader"
    NOT_YET_READ = "NotYetRead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """No trustworthy reading; the pool keeps its size."""

    reason: Blindness
    message: str
    """A sentence without a full stop, so that it can stand inside others."""


Reading = QueueReading | Unknown
