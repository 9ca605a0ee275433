"""What the loop must remember of a pool from one pass to the next. Losing it (a restart) loses no correctness."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace_operator.decision.decide import Memory
from millrace_operator.decision.estimation import History
from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.model.pool_state import PoolState
from millrace_operator.reporting.events import Told


@dataclass(slots=True)
class PoolMemory:
    """Of one pool, by its uid."""

    pool: tuple[str, str]
    decisions: Memory | None = None
    history: History = field(default_factory=History)
    told: Told = field(default_factory=Told)
    blind_passes: int = 0
    status: Mapping[str, Any] | None = None
    """The status that was written last; None before the first write."""
    status_written_at: float = 0.0
    trouble: str = ""
    """Why the last write about the pool failed."""
    written: int | None = None
    """The replicas that we wrote last, once the Deployment showed them; None before."""
    pending: int | None = None
    """The replicas that we wrote and that the Deployment has not shown yet."""


def other_writer(memory: PoolMemory, state: PoolState | None, outcome: ScaleOutcome | None) -> str:
    """Say that somebody else changed replicas that we had written, or nothing; remembers what we wrote."""
    if state is None or outcome is None:
        return ""
    if memory.pending is not None and state.asked == memory.pending:
        memory.written, memory.pending = memory.pending, None
    is_foreign = memory.pending is None and memory.written is not None and state.asked != memory.written
    before = memory.written
    if outcome.is_changed:
        memory.pending, memory.written = outcome.current, None
    if not is_foreign:
        return ""
    return (
        f"Replicas were changed from {before} to {state.asked} by somebody else. The operator writes what the queue "
        "needs: remove the other autoscaler of the Deployment, or set spec.mode to Paused to size it by hand."
    )
