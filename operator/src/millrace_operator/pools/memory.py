"""What the loop must remember of a pool from one pass to the next. Losing it (a restart) loses no correctness."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace_operator.decision.decide import Memory
from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.pools.cold_starts import Starts
from millrace_operator.pools.replica_writes import ReplicaWrites
from millrace_operator.reporting.events import Told
from millrace_operator.reporting.report import Announcement, Drained


@dataclass(slots=True)
class Acted:
    """What was done about a pool since it was last reported."""

    outcome: ScaleOutcome | None = None
    drained: Drained = field(default_factory=Drained)
    news: list[Announcement] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """The status of an object as it was written last."""

    status: Mapping[str, Any] | None = None
    """None before the first write."""
    at: float = 0.0
    looked_at: float = 0.0
    """When it was written, or was found to say nothing new."""
    essence: tuple[Any, ...] = ()


@dataclass(slots=True)
class PoolMemory:
    """Of one pool, by its uid."""

    pool: tuple[str, str]
    began_at: float
    decisions: Memory | None = None
    starts: Starts = field(default_factory=Starts)
    writes: ReplicaWrites = field(default_factory=ReplicaWrites)
    acted: Acted = field(default_factory=Acted)
    scaling_error: str = ""
    """Why the last write of replicas failed."""
    told: Told = field(default_factory=Told)
    blind_passes: int = 0
    written: Written = field(default_factory=Written)
    unsaid: list[Announcement] = field(default_factory=list)
    """Events that are still to be recorded."""
    trouble: str = ""
    """Why the last write about the pool failed."""
    is_broken: bool = False
    """A defect kept it from being sized; said once."""
    truce: str = ""
    """The sentence about replicas that another wrote."""
