"""Why a pool cannot be sized at all."""

from dataclasses import dataclass
from enum import StrEnum


class ObstacleReason(StrEnum):
    """What stands in the way; shown where a decision's reason would stand."""

    WORKLOAD_NOT_FOUND = "WorkloadNotFound"
    WORKLOAD_SHARED = "WorkloadShared"
    QUEUE_SHARED = "QueueShared"
    BUDGET_NOT_FOUND = "BudgetNotFound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands in the way, and what to do about it."""

    reason: ObstacleReason
    message: str
