"""Build a WorkerPool's status from what was seen and decided; pure, so the loop can tell whether there is news.

The status is a merge patch: None removes what is not known any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from millrace_operator.api.conditions import Condition, ConditionStatus, merge_conditions, verdicts
from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.api.worker_pool import Mode, WorkerPool
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.obstacle import Obstacle
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Reading, Unknown

MESSAGE_LIMIT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """All that one pass found out about one pool."""

    pool: WorkerPool
    reading: Reading
    estimates: Estimates
    state: PoolState | None
    """None: the Deployment does not exist."""
    obstacle: Obstacle | None
    decision: ScalingDecision | None
    """None: something stands in the way of deciding."""
    outcome: ScaleOutcome | None


def build_status(report: PoolReport, *, previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Say everything about a pool; times of what did not change are kept from `previous`."""
    state = report.state
    return {
        "observedGeneration": report.pool.generation,
        "readiness": f"{state.ready}/{state.existing}" if state else None,
        "replicas": state.existing if state else None,
        "readyReplicas": state.ready if state else None,
        "desiredReplicas": report.decision.replicas if report.decision else None,
        "queue": _queue(report.reading),
        "arrivalRate": _decimal(report.estimates.arrivals_per_second),
        "serviceSeconds": _decimal(report.estimates.service_seconds),
        "lastDecision": _last_decision(report, previous.get("lastDecision") or {}, now),
        "conditions": merge_conditions(
            previous.get("conditions") or (), _conditions(report), generation=report.pool.generation, now=now
        ),
    }


def is_urgent(status: Mapping[str, Any], previous: Mapping[str, Any]) -> bool:
    """Tell whether a new status is to be written at once: a decision or a condition changed, not merely a count."""
    return _essence(status) != _essence(previous)


def without_absent(status: Mapping[str, Any]) -> dict[str, Any]:
    """Show a patch as the status that it leads to."""
    return {key: without_absent(v) if isinstance(v, Mapping) else v for key, v in status.items() if v is not None}


def _essence(status: Mapping[str, Any]) -> tuple[Any, ...]:
    reason = (status.get("lastDecision") or {}).get("reason")
    conditions = verdicts(status.get("conditions") or ())
    return (status.get("observedGeneration"), status.get("desiredReplicas"), reason, conditions)


def _queue(reading: Reading) -> dict[str, int] | None:
    if isinstance(reading, Unknown):
        return None
    return {"ready": reading.ready, "unacked": reading.unacked, "consumers": reading.consumers}


def _last_decision(report: PoolReport, previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    decided = report.obstacle or report.decision
    if decided is None:
        raise ValueError("a pool has either a decision or an obstacle")
    replicas = report.decision.replicas if report.decision else None
    is_same = previous.get("reason") == decided.reason.value and previous.get("replicas") == replicas
    return {
        "replicas": replicas,
        "reason": decided.reason.value,
        "message": decided.message[:MESSAGE_LIMIT],
        "time": previous["time"] if is_same and "time" in previous else to_rfc3339(now),
    }


def _conditions(report: PoolReport) -> tuple[Condition, ...]:
    return (_ready(report), _scaling_active(report), _scaling_limited(report), _metrics_available(report.reading))


def _ready(report: PoolReport) -> Condition:
    state = report.state
    if report.obstacle or state is None:
        return _hindered("Ready", report)
    if state.ready < state.asked:
        message = f"{state.ready} of {state.asked} replicas are ready."
        return _condition("Ready", "False", "ReplicasStarting", message)
    message = f"{state.ready} of {state.asked} replicas are ready." if state.asked else "No replicas are asked for."
    return _condition("Ready", "True", "ReplicasReady", message)


def _scaling_active(report: PoolReport) -> Condition:
    kind = "ScalingActive"
    if report.obstacle or report.decision is None:
        return _hindered(kind, report)
    mode = report.pool.policy.mode
    if mode is not Mode.AUTO:
        what = "decisions are shown and not written" if mode is Mode.ADVISORY else "the replicas are left as they are"
        return _condition(
            kind, "False", mode.value, f"The mode of the pool is {mode.value}: {what}. Set spec.mode to Auto to scale."
        )
    if report.outcome and report.outcome.error:
        return _condition(kind, "False", "ScalingFailed", f"Replicas could not be written: {report.outcome.error}.")
    if isinstance(report.reading, Unknown):
        return _condition(kind, "False", report.decision.reason.value, report.decision.message)
    return _condition(kind, "True", "ScalingByQueue", f"Replicas follow queue {report.pool.queue!r}.")


def _scaling_limited(report: PoolReport) -> Condition:
    kind, decision = "ScalingLimited", report.decision
    if decision is None:
        return _hindered(kind, report, status="Unknown")
    if isinstance(report.reading, Unknown):
        return _condition(kind, "Unknown", decision.reason.value, "It is not known how much work there is.")
    if decision.reason is Reason.AT_MAXIMUM:
        return _condition(kind, "True", Reason.AT_MAXIMUM.value, decision.message)
    return _condition(kind, "False", "WithinBounds", "The bounds minReplicas and maxReplicas leave room for the work.")


def _metrics_available(reading: Reading) -> Condition:
    if isinstance(reading, Unknown):
        return _condition("MetricsAvailable", "False", reason_of(reading), f"{_capital(reading.message)}.")
    return _condition("MetricsAvailable", "True", "QueueRead", "The queue is read every second.")


def reason_of(unknown: Unknown) -> str:
    """Name why a queue cannot be read."""
    return unknown.reason.value


def _hindered(kind: str, report: PoolReport, *, status: ConditionStatus = "False") -> Condition:
    if report.obstacle is None:
        return _condition(kind, "Unknown", "NotDecided", "Nothing has been decided yet.")
    return _condition(kind, status, report.obstacle.reason.value, report.obstacle.message)


def _condition(kind: str, status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message)


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - three digits


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
