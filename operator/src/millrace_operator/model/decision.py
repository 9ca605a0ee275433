"""How many replicas a pool is to have, and why."""

from dataclasses import dataclass, field
from enum import StrEnum

from millrace_operator.model.estimates import Estimates


class Reason(StrEnum):
    """Why a pool has the size that it has: one list for status, conditions, Events, metrics and log."""

    BACKLOG_TO_DRAIN = "BacklogToDrain"
    """Tasks wait: replicas to start them all within the objective."""
    STEADY_LOAD = "SteadyLoad"
    """Replicas for the rate of arrivals and the time of a task (Erlang C)."""
    WORK_IN_PROGRESS = "WorkInProgress"
    """No task waits; the replicas are those that the running tasks need."""
    SCHEDULED_FLOOR = "ScheduledFloor"
    """spec.schedules asks for no less at this hour."""
    KNOWN_TASKS_DUE = "KnownTasksDue"
    """Tasks of Beat or with an ETA come due before a new pod could be ready."""
    AT_MINIMUM = "AtMinimum"
    """minReplicas is enough, or more than enough."""
    AT_MAXIMUM = "AtMaximum"
    """More replicas would have work, and maxReplicas forbids them."""
    BUDGET_EXHAUSTED = "BudgetExhausted"
    """More replicas would have work, and the CapacityBudget gives no more."""
    PODS_UNSCHEDULABLE = "PodsUnschedulable"
    """More replicas would have work, and the cluster has no place for those that were asked for already."""
    INFERENCE_SATURATED = "InferenceSaturated"
    """More replicas would have work, and Triton has more requests than it can compute."""
    KEEP_ALIVE = "KeepAlive"
    """Nothing to do; the last pods stay for the next task, as long as gaps between tasks usually last."""
    WAITING_FOR_IDLE = "WaitingForIdle"
    """Fewer replicas would do, but not yet for long enough."""
    IDLE_SCALE_DOWN = "IdleScaleDown"
    """Fewer replicas did for long enough."""
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    """Fewer replicas would do; nothing is removed while the Deployment rolls out."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """The queue cannot be read: hold."""
    FALLBACK_REPLICAS = "FallbackReplicas"
    """The queue could not be read for so long that spec.fallback holds."""
    PAUSED = "Paused"
    """spec.mode is Paused: hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """A number with its reason and a sentence for people."""

    replicas: int
    reason: Reason
    message: str
    is_binding: bool = True
    """False: report it, write nothing."""
    estimates: Estimates = field(default_factory=Estimates)
    """What it was decided from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOutcome:
    """What became of a decision in the cluster."""

    previous: int
    current: int
    error: str = ""
    """Why it could not be written; empty when it could, or when nothing was to be written."""

    @property
    def is_changed(self) -> bool:
        """Tell whether replicas were written."""
        return self.previous != self.current
