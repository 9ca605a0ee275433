"""Find the Events that a change of a job's status is worth. Pure.

Derived from what was reported last and what is reported now, so an operator that restarts announces nothing twice.
"""

from collections.abc import Mapping
from typing import Any

from millrace_operator.api.conditions import find_condition
from millrace_operator.jobs.reasons import TROUBLES, ConditionType, JobState, Reason
from millrace_operator.jobs.steps import JobEvent


def announce(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[JobEvent, ...]:
    """List the Events between two statuses of a job, in the order in which they happened."""
    found = (
        _submission(before, after),
        _suspension(before, after),
        _refusal(before, after),
        _start(before, after),
        _trouble(before, after),
        _loss(before, after),
    )
    return tuple(event for event in (*found, _end(before, after)) if event is not None)


def _submission(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    # A job that was suspended starts anew, and was submitted before.
    if before.get("startTime") or before.get("queueTime") or not after.get("startTime"):
        return None
    message = f"Submitted to queue {after.get('queueName')} of WorkerPool {after.get('workerPoolName')}."
    return JobEvent(type="Normal", reason=Reason.SUBMITTED, message=message)


def _suspension(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    said, was = _condition(after, ConditionType.SUSPENDED), _condition(before, ConditionType.SUSPENDED)
    if said["status"] == was["status"]:
        return None
    return JobEvent(type="Normal", reason=said["reason"], message=said["message"])


def _loss(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    said, was = _condition(after, ConditionType.DEGRADED), _condition(before, ConditionType.DEGRADED)
    if said["status"] != "True" or was["status"] == "True":
        return None
    return JobEvent(type="Warning", reason=said["reason"], message=said["message"])


def _refusal(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    # A refusal that ends the job is announced as its end.
    is_waiting = after.get("state") == JobState.PENDING.value
    said, was = _condition(after, ConditionType.VALIDATED), _condition(before, ConditionType.VALIDATED)
    if not is_waiting or said["status"] != "False" or _verdict(said) == _verdict(was):
        return None
    return JobEvent(type="Warning", reason=said["reason"], message=said["message"])


def _start(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    running = _condition(after, ConditionType.RUNNING)
    was = _condition(before, ConditionType.RUNNING)
    if running["status"] != "True" or was["status"] == "True" or was["reason"] == Reason.SUSPENDED:
        return None
    total = (after.get("records") or {}).get("total")
    tasks = (after.get("tasks") or {}).get("total")
    return JobEvent(type="Normal", reason=Reason.STARTED, message=f"Workers began: {total} records in {tasks} tasks.")


def _trouble(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    said, was = _condition(after, ConditionType.SUCCEEDED), _condition(before, ConditionType.SUCCEEDED)
    is_told_otherwise = after.get("state") == JobState.PENDING.value and said["reason"] == Reason.WORKER_POOL_NOT_FOUND
    if said["reason"] not in TROUBLES or said["reason"] == was["reason"] or is_told_otherwise:
        return None
    return JobEvent(type="Warning", reason=said["reason"], message=said["message"])


def _end(before: Mapping[str, Any], after: Mapping[str, Any]) -> JobEvent | None:
    said, was = _condition(after, ConditionType.SUCCEEDED), _condition(before, ConditionType.SUCCEEDED)
    if said["status"] not in {"True", "False"} or said["status"] == was["status"]:
        return None
    is_clean = after.get("state") == JobState.SUCCEEDED.value
    return JobEvent(type="Normal" if is_clean else "Warning", reason=said["reason"], message=said["message"])


def _condition(status: Mapping[str, Any], condition_type: ConditionType) -> dict[str, str]:
    found = find_condition(status.get("conditions") or (), condition_type.value) or {}
    return {name: str(found.get(name, "")) for name in ("status", "reason", "message")}


def _verdict(condition: Mapping[str, str]) -> tuple[str, str]:
    return condition["status"], condition["reason"]
