"""What was seen of a queue, or that it could not be seen."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReading:
    """What the broker said of one queue at one moment. A zero here is a measurement."""

    read_at: float
    """When it was read, in seconds since the epoch."""
    ready: int
    """Messages that wait; live."""
    unacked: int
    """Messages that workers hold; live: the broker's gauge, carried on by the deliveries and acks since."""
    consumers: int | None = None
    """None where the source cannot tell."""
    arrivals_total: int | None = None
    """Tasks that arrived since the operator began to read the queue; never falls. None where the source cannot tell."""
    completions_total: int | None = None
    """Tasks that ended since then; never falls. None where the source cannot tell."""
    dead_letters: int | None = None
    """Messages in the dead-letter queue; None when there is none or it cannot be read."""

    @property
    def tasks(self) -> int:
        """All tasks that are not done."""
        return self.ready + self.unacked


class Blindness(StrEnum):
    """Why a queue cannot be read."""

    BROKER_UNREACHABLE = "BrokerUnreachable"
    BROKER_NOT_CONFIGURED = "BrokerNotConfigured"
    QUEUE_NOT_FOUND = "QueueNotFound"
    QUEUE_WITHOUT_LEADER = "QueueWithoutLeader"
    QUERY_FAILED = "QueryFailed"
    NOT_YET_READ = "NotYetRead"
    STALE = "Stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """No trustworthy reading; the pool keeps its size."""

    reason: Blindness
    message: str
    """A sentence without a full stop, so that it can stand inside others."""


Reading = QueueReading | Unknown
