"""Find out whether a job has run out of time. Pure."""

from millrace_contracts.errors import JobFailure
from millrace_operator.api.conditions import find_condition
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.api.timestamps import to_epoch_seconds
from millrace_operator.jobs.readings import LedgerReading
from millrace_operator.jobs.reasons import ConditionType
from millrace_operator.jobs.status import count, started_at
from millrace_operator.jobs.steps import Stop


def stop_for_deadline(job: PredictionJob, reading: LedgerReading, *, now: float) -> Stop | None:
    """Stop a job that took, or waited, longer than it may."""
    # A job that was suspended has no start until it is taken up again, and then starts now.
    began_at = None if reading.is_suspended else started_at(job, reading)
    if began_at is None:
        return None
    if job.active_deadline_seconds is not None and now >= began_at + job.active_deadline_seconds:
        return Stop(JobFailure.DEADLINE_EXCEEDED, _took_too_long(job, reading))
    waits = reading.first_shard_at is None
    if waits and job.queueing_deadline_seconds is not None and now >= began_at + job.queueing_deadline_seconds:
        return Stop(JobFailure.QUEUEING_DEADLINE_EXCEEDED, _waited_too_long(job))
    return None


def submission_is_overdue(job: PredictionJob, *, now: float) -> bool:
    """Tell whether a job that could not be submitted yet has waited longer than it may."""
    if job.queueing_deadline_seconds is None or job.created_at is None:
        return False
    resumed = find_condition(job.conditions, ConditionType.SUSPENDED) or {}
    since = to_epoch_seconds(resumed["lastTransitionTime"]) if resumed.get("status") == "False" else 0.0
    was_suspended = resumed.get("status") == "True"
    return not was_suspended and now >= max(job.created_at, since) + job.queueing_deadline_seconds


def _took_too_long(job: PredictionJob, reading: LedgerReading) -> str:
    counts = count(job, reading, has_ended=False)
    done = f"{counts.done} of {counts.total} records were done" if counts.total >= 0 else "the input had not been read"
    return (
        f"The job took longer than activeDeadlineSeconds ({job.active_deadline_seconds} s); {done}. "
        "Give it more time or more workers, and create it anew."
    )


def _waited_too_long(job: PredictionJob) -> str:
    return (
        f"No worker began a task of the job within queueingDeadlineSeconds ({job.queueing_deadline_seconds} s). "
        "Give it a higher priority or its pool more workers, and create it anew."
    )
