"""What is to be done about one job: a few actions, its status as it should be, and what to tell people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from millrace_contracts.errors import JobFailure
from millrace_contracts.tasks import PlanTask


@dataclass(frozen=True, slots=True)
class Submit:
    """Make the ledger.

    Done before the plan is published, so that a task that finds no ledger belongs to a job that is gone.
    """

    is_again: bool = False
    """The job had a ledger and Redis lost it; all of its shards run again."""


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """Publish the plan task and note when."""

    task: PlanTask


@dataclass(frozen=True, slots=True)
class Stop:
    """Let the shards do nothing more. The first reason stands."""

    reason: JobFailure
    message: str


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete the PredictionJob, if it is still this one."""


Action = Submit | PublishPlan | Stop | DeleteObject


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A Kubernetes Event on the job."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStep:
    """The outcome of looking at one job once."""

    actions: tuple[Action, ...]
    status: Mapping[str, Any]
    """The whole status as it should be."""
