"""What a pool's Deployment and its pods look like now: read from the cluster, never from our own status."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod of the pool's Deployment."""

    name: str
    uid: str
    created_at: float
    """Seconds since the epoch."""
    is_ready: bool = False
    ready_since: float | None = None
    """Seconds since the epoch; None: it is not ready."""
    is_pending: bool = False
    """No container of it runs yet (phase Pending)."""
    is_stuck: bool = False
    """None of its containers runs, and one of them cannot: no image, no configuration, or it fails again and again."""
    is_unschedulable: bool = False
    """The scheduler says that no node takes it."""
    unschedulable_message: str = ""
    is_terminating: bool = False
    replica_set: str = ""
    """Name of the owner; pods of two of them mean that a rollout goes on."""
    draining_since: float | None = None
    """When we wrote that it is to go (annotation millrace.dev/draining-since); None: it is not."""
    deletion_cost: int = 0
    """Of the annotation controller.kubernetes.io/pod-deletion-cost."""
    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """Replicas of the Deployment, and what is known of its pods."""

    asked: int
    """spec.replicas: what was asked for last, by whomever."""
    existing: int = 0
    ready: int = 0
    """Ready pods that take tasks: without those that drain."""
    starting_since: tuple[float, ...] = ()
    """When each pod was created that is not ready yet, nor unschedulable; oldest first."""
    draining: int = 0
    """Pods that take no more tasks and are to go; part of `existing`."""
    busy: int | None = None
    """Pods whose worker runs a task, by their heartbeats; None where no worker is heard."""
    unschedulable: int = 0
    unschedulable_message: str = ""
    """What the scheduler said of the first one."""
    is_rolling_out: bool = False
    """Pods of two templates exist: nobody can say which of them a scale-down would take."""
    cold_starts_seconds: tuple[float, ...] = ()
    """Of the pods whose first heartbeat came since the last pass: from the decision to that heartbeat."""
