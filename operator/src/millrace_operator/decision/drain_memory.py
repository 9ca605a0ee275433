"""What a drain is, and what must be remembered of it between two passes.

Losing the memory (a restart) loses no correctness: pods that are to go carry the annotation
millrace.dev/draining-since, and to cancel a consumer twice is the same as once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from millrace_operator.model.pool_state import Pod


class RemovedState(StrEnum):
    """What a pod did when a scale-down removed it; the label of the metric."""

    IDLE = "idle"
    STARTING = "starting"
    """It could not start, or has not for so long that nobody waits for it."""
    BUSY = "busy"
    OTHER = "other"
    """Idle, but not the pod that was chosen."""


class DrainEnd(StrEnum):
    """How a drain ended; the label of the metric."""

    REMOVED = "removed"
    REARMED = "rearmed"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """A heartbeat of after the cancel that said: nothing runs."""

    heard_at: float
    processed: int
    is_confirmed: bool = False
    """A later one said so too, and no task was started between the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A pod that is to go, unless the load comes back first."""

    uid: str
    pod: str
    since: float
    is_adopted: bool = False
    """Found by its annotation: what was sent to it before this operator started is not known."""
    cancel_sent_at: float | None = None
    cancels_sent: int = 0
    cancelled_at: float | None = None
    """When its worker answered that it takes no more tasks."""
    quiet: Quiet | None = None
    doubted_at: float | None = None
    """When it was asked in vain to say that it holds nothing."""
    questions_unanswered: int = 0
    """In a row."""
    rearm_sent_at: float | None = None
    """Set: it is on its way back to work."""
    rearms_sent: int = 0
    """None of which was answered."""

    @property
    def is_rearming(self) -> bool:
        """Tell whether it is on its way back to work."""
        return self.rearm_sent_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A write that lowered replicas, until Kubernetes has acted on it."""

    previous: int
    replicas: int
    since: float
    victims: Mapping[str, RemovedState]
    """By uid; empty where the whole pool was idle and no pod was chosen."""
    others: Mapping[str, RemovedState]
    """Every other pod of that moment, and what its end would have to be called."""
    names: Mapping[str, str]
    """Of both, by uid."""
    expected: int
    """Pods that Kubernetes has to remove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainMemory:
    """Of one pool."""

    victims: Mapping[str, Victim] = field(default_factory=dict)
    """By uid of the pod."""
    removal: Removal | None = None
    rearmed: Mapping[str, float] = field(default_factory=dict)
    """Pods whose annotation we took away and may still see for a moment: by uid, when."""
    avoid: Mapping[str, float] = field(default_factory=dict)
    """Pods whose drain timed out: by uid, until when others are tried."""
    last_busy: Mapping[str, float] = field(default_factory=dict)
    """When each pod was last heard to be at work."""
    foreign_consumers: int = 0
    """Consumers of the queue that belong to no pod of the pool."""
    missing_since: float | None = None
    """Since when pods that were asked for are not there."""
    queue_quiet_since: float | None = None
    nobody_idle_since: float | None = None
    deaf_until: float | None = None
    """No worker answers cancel_consumer: until when that is taken as given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One Event of the pool."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A pod and the workers in it."""

    pod: Pod
    nodes: tuple[str, ...]
    """Celery's node names; empty: nobody is there to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPlan:
    """What is to be done now, in this order: cancel, rearm, ask, mark, lower."""

    cancel: tuple[Target, ...] = ()
    """Annotate those that are not yet, then tell their workers to take no more tasks."""
    rearm: tuple[Target, ...] = ()
    """Tell their workers to take tasks again, then take the annotations away."""
    ask: tuple[Target, ...] = ()
    """Lower only if all of these workers say that they hold no task."""
    mark: tuple[Pod, ...] = ()
    """Write the deletion cost, and await each reply, before replicas are lowered."""
    deletion_cost: int = 0
    removal: Removal | None = None
    """Lower replicas from `previous` to `replicas`."""
    holds: str = ""
    """Why fewer pods are removed than wanted, for people; empty when nothing is in the way."""
    news: tuple[News, ...] = ()
    removed: Mapping[RemovedState, int] = field(default_factory=dict)
    """Pods that were seen to be gone."""
    ended: Mapping[DrainEnd, int] = field(default_factory=dict)
