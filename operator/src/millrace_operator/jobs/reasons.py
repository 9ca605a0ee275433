"""Why a job is where it is: one list for conditions, Events and log lines.

The reasons of a failed job are `JobFailure` of the contracts, since workers give them too.
"""

from enum import StrEnum


class JobState(StrEnum):
    """What `kubectl get pjob` shows. For people; programs read conditions."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    FINALIZING = "Finalizing"
    SUCCEEDED = "Succeeded"
    PARTIALLY_SUCCEEDED = "PartiallySucceeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    """Failed, because it was deleted."""
    EXPIRED = "Expired"
    """Failed, because no worker began it in time."""


ENDS = frozenset(
    {JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
)
"""States in which nothing will happen to the job any more."""


class ConditionType(StrEnum):
    """The aspects of a job, in the order in which they are listed; of the last two only some jobs speak."""

    VALIDATED = "Validated"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    RESULTS_AVAILABLE = "ResultsAvailable"
    SUSPENDED = "Suspended"
    DEGRADED = "Degraded"


class Reason(StrEnum):
    """Reasons of conditions and Events of a job that has not failed."""

    VALIDATING = "Validating"
    ACCEPTED = "Accepted"
    WORKER_POOL_NOT_FOUND = "WorkerPoolNotFound"
    NOT_SUBMITTED = "NotSubmitted"
    WAITING_FOR_PLAN = "WaitingForPlan"
    WAITING_FOR_WORKERS = "WaitingForWorkers"
    STARTED = "Started"
    NOT_STARTED = "NotStarted"
    SHARDS_RUNNING = "ShardsRunning"
    FINALIZING = "Finalizing"
    WAITING_FOR_TRITON = "WaitingForTriton"
    WAITING = "Waiting"
    BROKER_UNREACHABLE = "BrokerUnreachable"
    LEDGER_UNREACHABLE = "LedgerUnreachable"
    LEDGER_LOST = "LedgerLost"
    FINISHED = "Finished"
    ALL_RECORDS_SUCCEEDED = "AllRecordsSucceeded"
    COMPLETED_WITH_FAILURES = "CompletedWithFailures"
    NOT_FINISHED = "NotFinished"
    MANIFEST_WRITTEN = "ManifestWritten"
    PARTIAL_RESULTS = "PartialResults"
    NO_RESULTS = "NoResults"
    SUBMITTED = "Submitted"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    SHARE_CHANGED = "ShareChanged"
    MESSAGES_LOST = "MessagesLost"
    NOTHING_LOST = "NothingLost"


TROUBLES = frozenset(
    {
        Reason.WAITING_FOR_TRITON,
        Reason.WAITING,
        Reason.BROKER_UNREACHABLE,
        Reason.LEDGER_UNREACHABLE,
        Reason.WORKER_POOL_NOT_FOUND,
    }
)
"""Reasons for which an active job does not get on, and goes on by itself later."""
