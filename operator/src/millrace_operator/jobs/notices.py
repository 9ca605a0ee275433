"""Find who is to be told what of a job, and was not told yet. Pure.

What was told stands in the ledger, so a new operator process tells nothing twice; and it is noted only after the broker
confirmed it, so nothing is left out. A process that dies between the two tells once more: at least once, never never.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from millrace_contracts.tasks import JobRef, NotifyTask
from millrace_operator.api.conditions import find_condition
from millrace_operator.api.prediction_job import SUCCEEDED, PredictionJob
from millrace_operator.jobs.readings import JobView, LedgerReading
from millrace_operator.jobs.reasons import JobState
from millrace_operator.jobs.steps import JobEvent, Notify

STARTED: Final = "Started"
SUSPENDED: Final = "Suspended"
_ENDS: Final[Mapping[str, str]] = {
    JobState.SUCCEEDED: "Succeeded",
    JobState.PARTIALLY_SUCCEEDED: "PartiallySucceeded",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Failed",
    JobState.EXPIRED: "Failed",
}


def due_notices(view: JobView, status: Mapping[str, Any], *, now: float) -> tuple[Notify, ...]:
    """List what is to be told now, with the status that the job has from now on."""
    if not view.job.notifications or not isinstance(view.ledger, LedgerReading):
        return ()
    return tuple(_due(view.job, view.ledger, status, now=now))


def has_told_all(job: PredictionJob, reading: LedgerReading) -> bool:
    """Tell whether nobody waits for word of a job that has ended."""
    event = _ENDS.get(str(job.status.get("state")))
    asked = (i for i, each in enumerate(job.notifications) if event in each["events"])
    return all(_notice(event or "", i) in reading.notified for i in asked)


def _due(job: PredictionJob, reading: LedgerReading, status: Mapping[str, Any], *, now: float) -> Iterator[Notify]:
    for event, name in _events(reading, status):
        for number, notification in enumerate(job.notifications):
            notice = _notice(name, number)
            if event in notification["events"] and notice not in reading.notified:
                yield _notify(job, notification, status, event=event, notice=notice, now=now)


def _events(reading: LedgerReading, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name the events that have happened, and how the ledger calls them; a job can be suspended more than once."""
    if reading.first_shard_at is not None:
        yield STARTED, STARTED
    if status.get("state") == JobState.SUSPENDED:
        yield SUSPENDED, f"{SUSPENDED}@{reading.epoch}"
    end = _ENDS.get(str(status.get("state")))
    if end is not None:
        yield end, end


def _notice(name: str, number: int) -> str:
    return f"{name}:{number}"


def _notify(
    job: PredictionJob,
    notification: Mapping[str, Any],
    status: Mapping[str, Any],
    *,
    event: str,
    notice: str,
    now: float,
) -> Notify:
    body = _body(job, status, event=event)
    if "event" in notification:
        kind: Literal["Normal", "Warning"] = "Warning" if event in {"Failed", "PartiallySucceeded"} else "Normal"
        said = body["message"] or f"The job is {status.get('state')}."
        return Notify(notice=notice, event=JobEvent(type=kind, reason=event, message=said))
    webhook = notification.get("webhook") or {}
    task = NotifyTask.model_validate(
        {
            "job": JobRef(namespace=job.namespace, name=job.name, uid=job.uid),
            "event": event,
            "at": now,
            "body": body,
            "webhook_url": webhook.get("url", ""),
            "webhook_secret": webhook.get("secretName", ""),
            "kafka_topic": (notification.get("kafka") or {}).get("topic", ""),
        }
    )
    return Notify(notice=notice, task=task)


def _body(job: PredictionJob, status: Mapping[str, Any], *, event: str) -> dict[str, Any]:
    summary = find_condition(status.get("conditions") or (), SUCCEEDED) or {}
    return {
        "namespace": job.namespace,
        "name": job.name,
        "uid": job.uid,
        "event": event,
        "state": status.get("state"),
        "reason": summary.get("reason", ""),
        "message": summary.get("message", ""),
        "records": status.get("records") or {},
        "output": status.get("output") or {},
    }
