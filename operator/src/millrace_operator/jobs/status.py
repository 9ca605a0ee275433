"""Build `status` of a PredictionJob. Pure.

The status is small and bounded whatever the job's size: counts, times, and at most twenty reasons of failure. What
concerns single records is with the results.
"""

from collections.abc import Mapping
from typing import Any, Final

from millrace_contracts.results import errors_key, results_key
from millrace_operator.api.conditions import Condition, find_condition, merge_conditions, shorten, verdicts
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.jobs.completed import list_completed
from millrace_operator.jobs.counts import RecordCounts, count_records, describe_progress, describe_speed
from millrace_operator.jobs.readings import FailedRecords, JobView, LedgerReading
from millrace_operator.jobs.reasons import ConditionType, JobState
from millrace_operator.jobs.situation import Situation, degraded, not_suspended
from millrace_operator.jobs.small import fit

FAILURES_LIMIT: Final = 20
FAILURE_MESSAGE_LIMIT: Final = 256
SAMPLE_KEY_LIMIT: Final = 253


def build_status(view: JobView, situation: Situation, *, now: float) -> dict[str, Any]:
    """Build the whole status as it should be; what the ledger does not tell stays as it was reported last."""
    job = view.job
    conditions = (*situation.conditions, *_more_conditions(view, situation))
    said = {
        "observedGeneration": job.generation,
        "state": situation.state.value,
        "conditions": merge_conditions(job.conditions, conditions, generation=job.generation, now=now),
    }
    if isinstance(view.ledger, LedgerReading):
        return fit(said | _from_ledger(view, view.ledger, situation, now=now))
    unread = {**_first_counts(job), **job.status, **said}
    if situation.has_ended:
        unread.setdefault("finishTime", to_rfc3339(now))
    if situation.state is JobState.SUSPENDED:
        # As with a ledger: a suspension stops the clock.
        unread.pop("startTime", None)
    return fit(unread)


def count(job: PredictionJob, reading: LedgerReading, *, has_ended: bool) -> RecordCounts:
    """Count the records of a job from its ledger."""
    return count_records(reading, inline_count=job.inline_count, has_ended=has_ended)


def says_something_new(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether somebody waits for this change: another state or another condition, not merely other counts."""
    return before.get("state") != after.get("state") or verdicts(before.get("conditions") or ()) != verdicts(
        after.get("conditions") or ()
    )


def _more_conditions(view: JobView, situation: Situation) -> tuple[Condition, ...]:
    """Add what most jobs never speak of: once said, it is unsaid when it is over."""
    known = view.job.conditions
    found: tuple[Condition, ...] = ()
    if situation.state is not JobState.SUSPENDED and find_condition(known, ConditionType.SUSPENDED) is not None:
        found = (*found, not_suspended())
    if isinstance(view.ledger, LedgerReading) and (
        view.ledger.dead_lettered or find_condition(known, ConditionType.DEGRADED) is not None
    ):
        found = (*found, degraded(view.ledger))
    return found


def _first_counts(job: PredictionJob) -> dict[str, Any]:
    counts = count_records(None, inline_count=job.inline_count, has_ended=False)
    return {"records": counts.as_status(), **describe_progress(counts), "workerPoolName": job.worker_pool_name}


def _from_ledger(view: JobView, reading: LedgerReading, situation: Situation, *, now: float) -> dict[str, Any]:
    job = view.job
    counts = count(job, reading, has_ended=situation.has_ended)
    is_running = situation.state is JobState.RUNNING
    status: dict[str, Any] = {
        "records": counts.as_status(),
        **describe_progress(counts),
        **describe_speed(reading, counts, pace=view.pace, now=now, is_running=is_running),
        "failures": [_failure(failed) for failed in reading.failures[:FAILURES_LIMIT]],
        "model": _known(
            name=job.model_name, version=reading.model_version or (job.spec.get("model") or {}).get("version")
        ),
        "workerPoolName": job.worker_pool_name,
        "attempt": reading.attempt,
    }
    if reading.shards_total is not None:
        status["tasks"] = _tasks(reading, has_ended=situation.has_ended)
    queue = view.pool.queue if view.pool is not None else job.status.get("queueName")
    completed = list_completed(reading.done_bits)
    known = _known(queueName=queue, output=_output(job, reading), completedIndexes=completed)
    return status | known | _times(job, reading, situation, now=now)


def _tasks(reading: LedgerReading, *, has_ended: bool) -> dict[str, int]:
    return {
        "total": reading.shards_total or 0,
        "succeeded": reading.shards_done,
        "active": 0 if has_ended else reading.shards_active,
        "deadLettered": reading.dead_lettered,
    }


def _times(job: PredictionJob, reading: LedgerReading, situation: Situation, *, now: float) -> dict[str, Any]:
    # A time that was reported once stays: after a lost ledger the job is the same job, and its deadline is no later.
    finished_at = (reading.finalized_at or now) if situation.has_ended else None
    # A suspension stops the clock, and the next start sets it anew, as batch/v1 has it.
    start = None if situation.state is JobState.SUSPENDED else _time(started_at(job, reading))
    return _known(
        startTime=start,
        queueTime=job.status.get("queueTime") or _time(reading.plan_published_at),
        lastProgressTime=_time(reading.last_progress_at) or job.status.get("lastProgressTime"),
        finishTime=job.status.get("finishTime") or _time(finished_at),
    )


def started_at(job: PredictionJob, reading: LedgerReading) -> float | None:
    """Answer when the job was submitted, or taken up again after a suspension; deadlines count from here."""
    return job.started_at or reading.resumed_at or reading.submitted_at


def _output(job: PredictionJob, reading: LedgerReading) -> dict[str, str]:
    uri, uid = reading.output_uri, job.uid
    if not uri:
        return {}
    if job.errors_topic is not None:
        errors = f"kafka:{job.errors_topic}"
    elif uri.endswith(results_key(uid)):
        errors = uri.removesuffix(results_key(uid)) + errors_key(uid)
    else:
        errors = f"{uri.rstrip('/')}/errors"
    kept = job.results_ttl_seconds
    gone_at = None if kept is None or reading.finalized_at is None else reading.finalized_at + kept
    return _known(uri=uri, errorsURI=errors, manifestURI=reading.manifest_uri, expirationTime=_time(gone_at))


def _failure(failed: FailedRecords) -> dict[str, Any]:
    return {
        "code": failed.code,
        "message": shorten(failed.message, FAILURE_MESSAGE_LIMIT),
        "count": failed.count,
        "sampleKey": shorten(failed.sample_key, SAMPLE_KEY_LIMIT),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else to_rfc3339(seconds)


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
