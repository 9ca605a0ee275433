"""The conditions of a WorkerPool: what programs and `kubectl wait` read, each with a sentence for people. Pure."""

from typing import Final

from millrace_operator.api.conditions import Condition, ConditionStatus
from millrace_operator.api.worker_pool import Mode
from millrace_operator.model.decision import Reason, ScalingDecision
from millrace_operator.model.reading import Reading, Unknown
from millrace_operator.reporting.report import PoolReport

LIMITS: Final = frozenset(
    {Reason.AT_MAXIMUM, Reason.BUDGET_EXHAUSTED, Reason.PODS_UNSCHEDULABLE, Reason.INFERENCE_SATURATED}
)
"""Reasons why a pool has fewer replicas than would have work."""


def conditions_of(report: PoolReport) -> tuple[Condition, ...]:
    """Say what holds of a pool now."""
    return (
        _ready(report),
        _scaling_active(report),
        _scaling_limited(report),
        _metrics_available(report.reading),
        _draining(report),
    )


def _ready(report: PoolReport) -> Condition:
    state = report.state
    if report.obstacle or state is None:
        return _hindered("Ready", report)
    takes_tasks = f"{state.ready} of {state.asked} replicas are ready."
    # Those that drain are to be missed: a pool that shrinks is not one that starts.
    if state.ready < state.asked - state.draining:
        return Condition(type="Ready", status="False", reason="ReplicasStarting", message=takes_tasks)
    message = takes_tasks if state.asked else "No replicas are asked for."
    return Condition(type="Ready", status="True", reason="ReplicasReady", message=message)


def _scaling_active(report: PoolReport) -> Condition:
    kind = "ScalingActive"
    if report.obstacle or report.decision is None:
        return _hindered(kind, report)
    hindrance = _why_not_scaled(report, report.decision)
    if hindrance is not None:
        reason, message = hindrance
        return Condition(type=kind, status="False", reason=reason, message=message)
    follows = f"Replicas follow queue {report.pool.queue!r}"
    if report.mistakes:
        message = f"{follows}, but a part of the spec is ignored: {'; '.join(report.mistakes)}."
        return Condition(type=kind, status="True", reason="ScheduleInvalid", message=message)
    return Condition(type=kind, status="True", reason="ScalingByQueue", message=f"{follows}.")


def _why_not_scaled(report: PoolReport, decision: ScalingDecision) -> tuple[str, str] | None:
    mode = report.pool.policy.mode
    if mode is not Mode.AUTO:
        what = "decisions are shown and not written" if mode is Mode.ADVISORY else "the replicas are left as they are"
        return mode.value, f"The mode of the pool is {mode.value}: {what}. Set spec.mode to Auto to scale."
    if report.outcome and report.outcome.error:
        return "ScalingFailed", f"Replicas could not be written: {report.outcome.error}."
    if report.truce:
        return "ReplicasChangedByOther", report.truce
    if isinstance(report.reading, Unknown):
        return decision.reason.value, decision.message
    return None


def _scaling_limited(report: PoolReport) -> Condition:
    kind, decision = "ScalingLimited", report.decision
    if decision is None:
        return _hindered(kind, report, status="Unknown")
    if isinstance(report.reading, Unknown):
        message = "It is not known how much work there is."
        return Condition(type=kind, status="Unknown", reason=decision.reason.value, message=message)
    if decision.reason in LIMITS:
        return Condition(type=kind, status="True", reason=decision.reason.value, message=decision.message)
    message = "Nothing keeps the pool from the replicas that the work needs."
    return Condition(type=kind, status="False", reason="WithinBounds", message=message)


def _metrics_available(reading: Reading) -> Condition:
    kind = "MetricsAvailable"
    if isinstance(reading, Unknown):
        message = f"{_capital(reading.message)}."
        return Condition(type=kind, status="False", reason=reading.reason.value, message=message)
    return Condition(type=kind, status="True", reason="QueueRead", message="The queue is read every second.")


def _draining(report: PoolReport) -> Condition:
    kind, state, holds = "Draining", report.state, report.drained.holds
    pods = state.draining if state else 0
    if pods:
        verb = "pod takes" if pods == 1 else "pods take"
        message = f"{pods} {verb} no more tasks and go when their last ones are done{f'; {holds}' if holds else ''}."
        return Condition(type=kind, status="True", reason="PodsDraining", message=message)
    if holds:
        return Condition(type=kind, status="False", reason="Waiting", message=f"{_capital(holds)}.")
    return Condition(type=kind, status="False", reason="NothingToDrain", message="No pod is to go.")


def _hindered(kind: str, report: PoolReport, *, status: ConditionStatus = "False") -> Condition:
    if report.obstacle is None:
        return Condition(type=kind, status="Unknown", reason="NotDecided", message="Nothing has been decided yet.")
    return Condition(type=kind, status=status, reason=report.obstacle.reason.value, message=report.obstacle.message)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
