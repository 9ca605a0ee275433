"""How many replicas a pool is to have, and why."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a pool has the size that it has: one list for status, conditions, Events, metrics and log."""

    BACKLOG_TO_DRAIN = "BacklogToDrain"
    """Tasks wait: there is a slot for each of them."""
    WORK_IN_PROGRESS = "WorkInProgress"
    """No task waits; the replicas are those that the running tasks need."""
    AT_MINIMUM = "AtMinimum"
    """minReplicas is enough, or more than enough."""
    AT_MAXIMUM = "AtMaximum"
    """More replicas would have work, and maxReplicas forbids them."""
    WAITING_FOR_IDLE = "WaitingForIdle"
    """Fewer replicas would do, but not yet for idleSeconds."""
    IDLE_SCALE_DOWN = "IdleScaleDown"
    """Fewer replicas did for idleSeconds."""
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
