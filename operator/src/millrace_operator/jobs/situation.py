"""Say in which state a job is and why, as state and conditions. Pure.

A job is in exactly one of four situations: it cannot be submitted yet, it has been refused, it is active, or it has
ended. Each function here words one of them; nothing else words conditions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from millrace_contracts.errors import JobFailure, RecordError
from millrace_contracts.ledger import State
from millrace_operator.api.conditions import Condition, ConditionStatus
from millrace_operator.jobs.counts import RecordCounts
from millrace_operator.jobs.readings import LedgerReading, PoolView
from millrace_operator.jobs.reasons import ENDS, ConditionType, JobState, Reason

SPEC_FAILURES: Final = frozenset(
    {
        JobFailure.INPUT_INVALID,
        JobFailure.INPUT_NOT_FOUND,
        JobFailure.INPUT_EMPTY,
        JobFailure.MODEL_NOT_FOUND,
        JobFailure.MODEL_INCOMPATIBLE,
    }
)
"""Failures that say that the job asked for something that is not there: the job was not valid after all."""

_POOL_IS_GONE: Final = (
    "The WorkerPool of this job was deleted: its tasks wait in their queue until there is one again, unless workers "
    "are left. Make the pool anew, or delete the job."
)

_STOPPED_STATES: Final[Mapping[str, JobState]] = {
    JobFailure.CANCELLED: JobState.CANCELLED,
    JobFailure.QUEUEING_DEADLINE_EXCEEDED: JobState.EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The state of a job and what its conditions say; conditions that it does not speak of stay."""

    state: JobState
    conditions: tuple[Condition, ...]

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.state in ENDS


def waiting_to_be_submitted(validated: Condition, *, reason: Reason, message: str) -> Situation:
    """Word a job that has not been submitted and will be, once what `message` names is there."""
    return Situation(
        state=JobState.PENDING,
        conditions=(
            validated,
            _condition(ConditionType.QUEUED, "False", Reason.NOT_SUBMITTED, "The job has not been submitted."),
            _condition(ConditionType.RUNNING, "False", Reason.NOT_STARTED, "The job has not been submitted."),
            *_unfinished(reason, message),
        ),
    )


def refused(message: str) -> Situation:
    """Word a job whose spec can never run."""
    return Situation(
        state=JobState.FAILED,
        conditions=(
            _condition(ConditionType.VALIDATED, "False", JobFailure.INPUT_INVALID, message),
            _condition(ConditionType.QUEUED, "False", Reason.NOT_SUBMITTED, "The job was refused."),
            _condition(ConditionType.RUNNING, "False", Reason.NOT_STARTED, "The job was refused."),
            _condition(ConditionType.SUCCEEDED, "False", JobFailure.INPUT_INVALID, message),
            _condition(ConditionType.RESULTS_AVAILABLE, "False", Reason.NO_RESULTS, "The job was refused."),
        ),
    )


def validating() -> Condition:
    """Word a spec of which it is not known yet whether its pool exists."""
    return _condition(
        ConditionType.VALIDATED, "Unknown", Reason.VALIDATING, "The WorkerPool has not been looked up yet."
    )


def accepted(pool_name: str) -> Condition:
    """Word a spec that can run. What only a worker can know (model, input) may still fail it."""
    return _condition(
        ConditionType.VALIDATED, "True", Reason.ACCEPTED, f"The spec is valid and WorkerPool {pool_name} exists."
    )


def pool_not_found(wanted: str, namespace: str, known: tuple[str, ...]) -> Condition:
    """Word a pool that is not there, with those that are."""
    names = ", ".join(sorted(known)) if known else "none"
    message = (
        f"There is no WorkerPool {wanted!r} in namespace {namespace}; existing WorkerPools: {names}. "
        "The job starts as soon as the pool exists; to use another pool, delete the job and create it anew."
    )
    return _condition(ConditionType.VALIDATED, "False", Reason.WORKER_POOL_NOT_FOUND, message)


def expired(message: str) -> Situation:
    """Word a job that could not be submitted by its queueing deadline."""
    return Situation(
        state=JobState.EXPIRED,
        conditions=(
            *_past(),
            _condition(ConditionType.SUCCEEDED, "False", JobFailure.QUEUEING_DEADLINE_EXCEEDED, message),
            _condition(ConditionType.RESULTS_AVAILABLE, "False", Reason.NO_RESULTS, "No record was done."),
        ),
    )


def suspended(reading: LedgerReading | None, *, validated: tuple[Condition, ...] = ()) -> Situation:
    """Word a job that is not to begin tasks; `reading` is None for one that was not submitted."""
    held = 0 if reading is None else reading.shards_active
    ending = f" {_tasks(held)} that workers hold {'ends' if held == 1 else 'end'} first." if held else ""
    message = f"spec.suspend is true, so no task is begun.{ending} Set it to false to let the job go on."
    return Situation(
        state=JobState.SUSPENDED,
        conditions=(
            *validated,
            _condition(ConditionType.QUEUED, "False", Reason.SUSPENDED, message),
            _condition(ConditionType.RUNNING, "False", Reason.SUSPENDED, message),
            *_unfinished(Reason.SUSPENDED, message),
            _condition(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, message),
        ),
    )


def active(reading: LedgerReading, counts: RecordCounts, pool: PoolView | None, *, trouble: str) -> Situation:
    """Word a submitted job that has not ended; `trouble` says why the broker could not be reached, if it could not."""
    if reading.first_shard_at is None:
        return _queued(reading, pool, trouble=trouble)
    is_finalizing = reading.shards_total is not None and reading.shards_done >= reading.shards_total
    reason, message = _why_running(reading, counts, is_finalizing=is_finalizing, trouble=trouble)
    if pool is None and not is_finalizing:
        reason, message = Reason.WORKER_POOL_NOT_FOUND, _POOL_IS_GONE
    return Situation(
        state=JobState.FINALIZING if is_finalizing else JobState.RUNNING,
        conditions=(
            *_submitted(pool),
            _condition(ConditionType.QUEUED, "False", Reason.STARTED, "Workers have begun the first shard."),
            _condition(ConditionType.RUNNING, "True", reason, message),
            *_unfinished(reason, message),
        ),
    )


def unreadable(state: JobState, message: str) -> Situation:
    """Word a submitted job whose ledger cannot be read: all else stays as it was said last."""
    sentence = f"{_sentence(message)} The counts are the last known ones; the job goes on by itself."
    aspect = ConditionType.QUEUED if state is JobState.QUEUED else ConditionType.RUNNING
    return Situation(
        state=state,
        conditions=(
            _condition(aspect, "True", Reason.LEDGER_UNREACHABLE, sentence),
            _condition(ConditionType.SUCCEEDED, "Unknown", Reason.LEDGER_UNREACHABLE, sentence),
        ),
    )


def not_suspended() -> Condition:
    """Word that a suspension is over."""
    return _condition(ConditionType.SUSPENDED, "False", Reason.RESUMED, "The job is not suspended.")


def degraded(reading: LedgerReading) -> Condition:
    """Word whether records ended the workers that held them, and which one to look at first."""
    if not reading.dead_lettered:
        return _condition(ConditionType.DEGRADED, "False", Reason.NOTHING_LOST, "No record ends its worker.")
    poison = next((failed for failed in reading.failures if failed.code == RecordError.POISON_MESSAGE), None)
    example = f"; record {poison.sample_key} is one of them: {poison.message}" if poison is not None else ""
    message = _sentence(
        f"{_records(reading.dead_lettered)} ended every worker that held them and are in the dead-letter queue{example}"
    )
    advice = "The other records are not held up; send them again with `millrace dlq redrive` once the model is cured."
    return _condition(ConditionType.DEGRADED, "True", RecordError.POISON_MESSAGE, f"{message} {advice}")


def ended(reading: LedgerReading, counts: RecordCounts, *, partial_failure_fails: bool = False) -> Situation:
    """Word the end of a job: stopped for a reason, or all records done."""
    if reading.stop_reason:
        return _stopped(reading, counts)
    if counts.total == 0:
        state, status, reason = JobState.FAILED, "False", JobFailure.INPUT_EMPTY.value
        message = "The input held no record when it was read: what the range of the topic had is gone or was aborted."
    elif counts.succeeded == 0 and counts.failed > 0:
        state, status, reason = JobState.FAILED, "False", JobFailure.ALL_RECORDS_FAILED.value
        message = f"{_all(counts.total)} failed{_first_failure(reading)}"
    elif counts.failed > 0:
        state, status = (JobState.FAILED, "False") if partial_failure_fails else (JobState.PARTIALLY_SUCCEEDED, "True")
        reason = Reason.COMPLETED_WITH_FAILURES.value
        done = f"{counts.succeeded} of {_records(counts.total)} succeeded and {counts.failed} failed"
        message = f"{done}{_first_failure(reading)}"
    else:
        state, status, reason = JobState.SUCCEEDED, "True", Reason.ALL_RECORDS_SUCCEEDED.value
        message = f"{_all(counts.total)} succeeded."
    return Situation(
        state=state,
        conditions=(
            *_past(),
            _condition(ConditionType.SUCCEEDED, "True" if status == "True" else "False", reason, message),
            _condition(
                ConditionType.RESULTS_AVAILABLE,
                "True",
                Reason.MANIFEST_WRITTEN,
                f"The manifest is at {reading.manifest_uri}.",
            ),
        ),
    )


def _stopped(reading: LedgerReading, counts: RecordCounts) -> Situation:
    message = _sentence(reading.stop_message or f"the job was stopped: {reading.stop_reason}")
    partly = counts.done > 0
    results = f"{counts.done} records were done; their parts are at {reading.output_uri}, without a manifest."
    invalid = (_condition(ConditionType.VALIDATED, "False", reading.stop_reason, message),)
    return Situation(
        state=_STOPPED_STATES.get(reading.stop_reason, JobState.FAILED),
        conditions=(
            *(invalid if reading.stop_reason in SPEC_FAILURES and not partly else ()),
            *_past(),
            _condition(ConditionType.SUCCEEDED, "False", reading.stop_reason, message),
            _condition(
                ConditionType.RESULTS_AVAILABLE,
                "False",
                Reason.PARTIAL_RESULTS if partly else Reason.NO_RESULTS,
                results if partly else "No record was done.",
            ),
        ),
    )


def _queued(reading: LedgerReading, pool: PoolView | None, *, trouble: str) -> Situation:
    reason, message = _why_queued(reading, pool, trouble=trouble)
    return Situation(
        state=JobState.QUEUED,
        conditions=(
            *_submitted(pool),
            _condition(ConditionType.QUEUED, "True", reason, message),
            _condition(ConditionType.RUNNING, "False", Reason.NOT_STARTED, "No worker has begun a shard."),
            *_unfinished(reason, message),
        ),
    )


def _why_queued(reading: LedgerReading, pool: PoolView | None, *, trouble: str) -> tuple[Reason, str]:
    if pool is None:
        return Reason.WORKER_POOL_NOT_FOUND, _POOL_IS_GONE
    if trouble:
        return Reason.BROKER_UNREACHABLE, f"{_sentence(trouble)} The job goes on by itself when the broker answers."
    if reading.waiting_for:
        return _waiting_reason(reading.waiting_for), f"{_sentence(reading.waiting_for)} The job goes on by itself."
    if reading.state == State.SUBMITTED:
        times = f" It was sent {reading.plan_publications} times." if reading.plan_publications > 1 else ""
        return Reason.WAITING_FOR_PLAN, f"The task that reads the input waits for a worker of the system pool.{times}"
    ready = f"; WorkerPool {pool.name} has {pool.ready_replicas} ready replicas"
    return Reason.WAITING_FOR_WORKERS, f"{_waiting_tasks(reading.shards_total)} for a worker{ready}."


def _why_running(
    reading: LedgerReading, counts: RecordCounts, *, is_finalizing: bool, trouble: str
) -> tuple[Reason, str]:
    if reading.waiting_for:
        return _waiting_reason(reading.waiting_for), f"{_sentence(reading.waiting_for)} The job goes on by itself."
    if trouble:
        return Reason.BROKER_UNREACHABLE, f"{_sentence(trouble)} The job goes on by itself when the broker answers."
    if is_finalizing:
        return Reason.FINALIZING, "All tasks are done; the manifest is being written."
    return (
        Reason.SHARDS_RUNNING,
        f"{counts.done} of {_records(counts.total)} are done, {counts.in_flight} are in flight, {counts.pending} wait.",
    )


def _waiting_reason(waiting_for: str) -> Reason:
    return Reason.WAITING_FOR_TRITON if "triton" in waiting_for.lower() else Reason.WAITING


def _submitted(pool: PoolView | None) -> tuple[Condition, ...]:
    # A pool that went away does not unsay that the job was valid.
    return () if pool is None else (accepted(pool.name),)


def _unfinished(reason: Reason, message: str) -> tuple[Condition, ...]:
    # The summary tells the one thing that counts now, so that `kubectl get pjob -o wide` is enough to know it.
    return (
        _condition(ConditionType.SUCCEEDED, "Unknown", reason, message),
        _condition(
            ConditionType.RESULTS_AVAILABLE, "False", Reason.NOT_FINISHED, "The manifest is written at the end."
        ),
    )


def _past() -> tuple[Condition, ...]:
    return (
        _condition(ConditionType.QUEUED, "False", Reason.FINISHED, "The job has ended."),
        _condition(ConditionType.RUNNING, "False", Reason.FINISHED, "The job has ended."),
    )


def _first_failure(reading: LedgerReading) -> str:
    if not reading.failures:
        return "."
    worst = reading.failures[0]
    example = f"record {worst.sample_key}: {worst.message.removesuffix('.')}"
    return f"; most often {worst.code} ({worst.count}), for example {example}."


def _condition(condition_type: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(type=condition_type.value, status=status, reason=str(reason), message=message)


def _sentence(text: str) -> str:
    """Write a worker's or broker's words as a sentence of its own."""
    capital = text[:1].upper() + text[1:]
    return capital if capital.endswith((".", "!", "?", "…")) else f"{capital}."


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _all(count: int) -> str:
    return "The only record" if count == 1 else f"All {count} records"


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _waiting_tasks(count: int | None) -> str:
    return "1 task waits" if count == 1 else f"{'Some' if count is None else count} tasks wait"
