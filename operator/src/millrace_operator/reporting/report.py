"""All that one pass found out about one pool: status, Events, metrics and log are made from it and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.decision.waits import Waits
from millrace_operator.model.decision import ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.obstacle import Obstacle
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What became of pods that were to go, since the last report."""

    holds: str = ""
    """Why fewer pods go than are too many: a sentence without a full stop; empty when nothing is in the way."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Pods that are gone, by what they did then."""
    ended: Mapping[str, int] = field(default_factory=dict)
    """Drains that ended, by how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """One pool in one pass."""

    pool: WorkerPool
    reading: Reading
    state: PoolState | None
    """None: the Deployment does not exist."""
    obstacle: Obstacle | None
    decision: ScalingDecision | None
    """None: something stands in the way of deciding."""
    outcome: ScaleOutcome | None
    waits: Waits = ()
    """(seconds, tasks) of those that started since the last pass."""
    workers_heard: int = 0
    drained: Drained = Drained()
    truce: str = ""
    """Why replicas that another has written are left alone; empty when they are not."""
    news: tuple[Announcement, ...] = ()
    """What happened on the way and is to be told as it is."""
    mistakes: tuple[str, ...] = ()
    """What is wrong with the spec that the schema could not know: sentences without a full stop."""

    @property
    def estimates(self) -> Estimates:
        """What was measured; nothing where nothing was decided."""
        return self.decision.estimates if self.decision else Estimates()
