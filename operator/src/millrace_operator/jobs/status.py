"""Build `status` of a PredictionJob, and the smallest patch that brings it there. Pure.

The status is small and bounded whatever the job's size: counts, times, and at most twenty reasons of failure. What
concerns single records is with the results.
"""

from collections.abc import Mapping
from typing import Any, Final

from millrace_contracts.results import errors_key, results_key
from millrace_operator.api.conditions import merge_conditions, shorten, verdicts
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.jobs.counts import RecordCounts, count_records, describe_progress, describe_speed
from millrace_operator.jobs.readings import FailedRecords, JobView, LedgerReading
from millrace_operator.jobs.reasons import JobState
from millrace_operator.jobs.situation import Situation

FAILURES_LIMIT: Final = 20
FAILURE_MESSAGE_LIMIT: Final = 256
SAMPLE_KEY_LIMIT: Final = 253


def build_status(view: JobView, situation: Situation, *, now: float) -> dict[str, Any]:
    """Build the whole status as it should be; what the ledger does not tell stays as it was reported last."""
    job = view.job
    said = {
        "observedGeneration": job.generation,
        "state": situation.state.value,
        "conditions": merge_conditions(job.conditions, situation.conditions, generation=job.generation, now=now),
    }
    if isinstance(view.ledger, LedgerReading):
        return said | _from_ledger(view, view.ledger, situation, now=now)
    unread = {**_first_counts(job), **job.status, **said}
    if situation.has_ended:
        unread.setdefault("finishTime", to_rfc3339(now))
    return unread


def count(job: PredictionJob, reading: LedgerReading, *, has_ended: bool) -> RecordCounts:
    """Count the records of a job from its ledger."""
    records = job.inline_records
    return count_records(reading, inline_count=None if records is None else len(records), has_ended=has_ended)


def says_something_new(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether somebody waits for this change: another state or another condition, not merely other counts."""
    return before.get("state") != after.get("state") or verdicts(before.get("conditions") or ()) != verdicts(
        after.get("conditions") or ()
    )


def _first_counts(job: PredictionJob) -> dict[str, Any]:
    records = job.inline_records
    counts = count_records(None, inline_count=None if records is None else len(records), has_ended=False)
    return {"records": counts.as_status(), **describe_progress(counts), "workerPoolName": job.worker_pool_name}


def _from_ledger(view: JobView, reading: LedgerReading, situation: Situation, *, now: float) -> dict[str, Any]:
    job = view.job
    counts = count(job, reading, has_ended=situation.has_ended)
    is_running = situation.state is JobState.RUNNING
    status: dict[str, Any] = {
        "records": counts.as_status(),
        **describe_progress(counts),
        **describe_speed(reading, counts, now=now, is_running=is_running),
        "failures": [_failure(failed) for failed in reading.failures[:FAILURES_LIMIT]],
        "model": _known(
            name=job.model_name, version=reading.model_version or (job.spec.get("model") or {}).get("version")
        ),
        "workerPoolName": job.worker_pool_name,
    }
    if reading.shards_total is not None:
        status["tasks"] = {"total": reading.shards_total, "succeeded": reading.shards_done}
    queue = view.pool.queue if view.pool is not None else job.status.get("queueName")
    output = _output(job, reading)
    return (
        status | _known(queueName=queue, output=output) | _times(job, reading, has_ended=situation.has_ended, now=now)
    )


def _times(job: PredictionJob, reading: LedgerReading, *, has_ended: bool, now: float) -> dict[str, Any]:
    # A time that was reported once stays: after a lost ledger the job is the same job, and its deadline is no later.
    finished_at = (reading.finalized_at or now) if has_ended else None
    return _known(
        startTime=job.status.get("startTime") or _time(reading.submitted_at),
        queueTime=job.status.get("queueTime") or _time(reading.plan_published_at),
        lastProgressTime=_time(reading.last_progress_at) or job.status.get("lastProgressTime"),
        finishTime=job.status.get("finishTime") or _time(finished_at),
    )


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
    return _known(uri=uri, errorsURI=errors, manifestURI=reading.manifest_uri)


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
