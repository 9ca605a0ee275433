"""What the job loop needs from outside, in its own words, so that it can be read and tested without a cluster."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from millrace_contracts.tasks import NotifyTask, PlanTask, TidyTask
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.steps import JobEvent


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Read the wall clock, in UTC."""
        ...

    def monotonic_seconds(self) -> float:
        """Read the clock that never jumps."""
        ...


class Publisher(Protocol):
    """Publishes tasks to the system queue; each call returns after the broker confirmed it, or raises PublishError."""

    async def publish_plan(self, task: PlanTask) -> None:
        """Publish a plan."""
        ...

    async def publish_tidying(self, task: TidyTask) -> None:
        """Publish that a job's checkpoints are to be removed."""
        ...

    async def publish_notification(self, task: NotifyTask, *, notice: str) -> None:
        """Publish word of a job; `notice` names it among all that is told of the job."""
        ...


class HeldBackBoard(Protocol):
    """Tells the pools what waits for them in no queue."""

    def tell(self, by_pool: Mapping[tuple[str, str], int]) -> None:
        """Replace what was told before, by namespace and name of the pool."""
        ...

    def look_again_by(self, look_again: Callable[[], Awaitable[None]]) -> None:
        """Name who looks again, and tells, before what was told is used."""
        ...


class JobObjects(Protocol):
    """The PredictionJobs in the cluster; each call raises KubernetesError when the API refuses it."""

    async def replace_status(self, job: PredictionJob, status: Mapping[str, Any]) -> str:
        """Replace the status of exactly this job, and return its new resourceVersion."""
        ...

    async def record_event(self, job: PredictionJob, event: JobEvent) -> None:
        """Attach an Event to the job."""
        ...

    async def delete(self, job: PredictionJob) -> None:
        """Delete exactly this job; one that is gone already is no error."""
        ...

    async def find_uid(self, *, namespace: str, name: str) -> str | None:
        """Ask the API which job has this name now; None if there is none."""
        ...


class JobMetrics(Protocol):
    """The metrics of jobs."""

    def set_jobs_by_state(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Set how many jobs are in each (namespace, state); what is not named is no more."""
        ...

    def add_records(self, *, namespace: str, model: str, outcome: str, count: int) -> None:
        """Count records that reached an outcome."""
        ...

    def add_failures(self, *, namespace: str, model: str, code: str, count: int) -> None:
        """Count records that failed for one reason."""
        ...
