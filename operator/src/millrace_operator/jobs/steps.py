"""What is to be done about one job: a few actions, its status as it should be, and what to tell people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from millrace_contracts.errors import JobFailure
from millrace_contracts.tasks import NotifyTask, PlanTask, TidyTask
from millrace_operator.jobs.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A Kubernetes Event on the job."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Make the ledger.

    Done before the plan is published, so that a task that finds no ledger belongs to a job that is gone.
    """

    attempt: int = 1
    """More than 1: the job had a ledger and Redis lost it; what no checkpoint covers runs again."""


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """Publish the plan task and note when."""

    task: PlanTask
    share: str = ""
    """What the shards of this plan carry that may be changed while the job runs."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Let no more shards begin; those that run finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchAnew:
    """Forget what is out of the job and end its suspension; a plan follows, which publishes what is not done."""

    reason: Reason
    message: str
    note: Mapping[str, Any]
    """Fields of the ledger that say why and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell one receiver of one event, and remember that it was told."""

    notice: str
    """Names event and receiver in the ledger."""
    task: NotifyTask | None = None
    event: JobEvent | None = None
    """Exactly one of the two."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Let the shards do nothing more. The first reason stands."""

    reason: JobFailure
    message: str


@dataclass(frozen=True, slots=True)
class Tidy:
    """Have the checkpoints of a job removed that has failed, and remember that this was said."""

    task: TidyTask


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete the PredictionJob, if it is still this one."""


Action = Submit | PublishPlan | Suspend | DispatchAnew | Notify | Stop | Tidy | DeleteObject


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStep:
    """The outcome of looking at one job once."""

    actions: tuple[Action, ...]
    status: Mapping[str, Any]
    """The whole status as it should be."""
