"""Make a smaller size true without touching a worker that works: execute what `decision.drain` plans.

The order is the protocol. The annotation comes before the cancel, so that whoever finds the pod after a restart knows
that it takes no tasks. All deletion costs are answered before replicas are lowered: sent together they pick wrong pods in
half of the cases.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from millrace_contracts.resources import DRAINING_SINCE, POD_DELETION_COST
from millrace_operator.actuation.pods import mark_for_deletion, mark_draining, unmark
from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.decision.drain import after_cancel, after_lowering, after_rearm, plan_drain
from millrace_operator.decision.drain_memory import DrainEnd, DrainMemory, DrainPlan, News, RemovedState
from millrace_operator.model.decision import ScaleOutcome, ScalingDecision
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Reading
from millrace_operator.model.worker import Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """What a step did, and what it saw to be done."""

    outcome: ScaleOutcome
    draining: int = 0
    """Pods that take no more tasks and are to go."""
    victims: tuple[str, ...] = ()
    """Their names."""
    holds: str = ""
    """Why fewer pods go than are too many: a sentence without a full stop; empty when nothing is in the way."""
    news: tuple[News, ...] = ()
    """Events of the pool: type, reason, message."""
    removed: Mapping[RemovedState, int] = field(default_factory=dict)
    """For the metric VICTIMS, by its label `state`."""
    ended: Mapping[DrainEnd, int] = field(default_factory=dict)
    """For the metric DRAINS, by its label `outcome`."""


class Drainer:
    async def step(
        self,
        pool: WorkerPool,
        state: PoolState,
        pods: tuple[Pod, ...],
        workers: Workers,
        reading: Reading,
        decision: ScalingDecision,
        now: float,
    ) -> DrainReport: ...

    def is_draining(self, uid: str) -> bool: ...

    def forget(self, uid: str) -> None: ...
