"""Build a WorkerPool's status from what was seen and decided; pure, so the loop can tell whether there is news."""

from collections.abc import Mapping
from typing import Any, Final

from millrace_operator.api.conditions import Condition, merge_conditions, shorten
from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.reading import Reading, Unknown
from millrace_operator.reporting.report import PoolReport

MESSAGE_LIMIT: Final = 1024
_COUNTS: Final = (
    "observedGeneration",
    "readiness",
    "replicas",
    "readyReplicas",
    "desiredReplicas",
    "drainingReplicas",
    "busyReplicas",
    "objective",
)
_LEARNED: Final = ("serviceSeconds", "coldStartSeconds")
Essence = tuple[Any, ...]


def build_status(
    report: PoolReport, *, conditions: tuple[Condition, ...], previous: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """Say what is known of a pool; times of what did not change are kept from `previous`."""
    state, objective = report.state, report.pool.policy.objective
    status = {
        "observedGeneration": report.pool.generation,
        "readiness": f"{state.ready}/{state.existing}" if state else None,
        "replicas": state.existing if state else None,
        "readyReplicas": state.ready if state else None,
        "desiredReplicas": report.decision.replicas if report.decision else None,
        "drainingReplicas": state.draining if state else None,
        "busyReplicas": state.busy if state else None,
        "objective": f"{objective.wait_seconds:g}s p{objective.percentile}",
        "queue": _queue(report.reading, report.estimates),
        **_measured(report.estimates),
        "lastDecision": _last_decision(report, previous.get("lastDecision") or {}, now),
        "conditions": merge_conditions(
            previous.get("conditions") or (), conditions, generation=report.pool.generation, now=now
        ),
    }
    return _without_absent(status)


def essence_of(report: PoolReport, conditions: tuple[Condition, ...]) -> Essence:
    """Reduce a report to what must be reported at once: a decision or a condition, not merely a count."""
    decided = report.obstacle or report.decision
    return (
        report.pool.generation,
        report.decision.replicas if report.decision else None,
        decided.reason if decided else None,
        tuple((each.status, each.reason) for each in conditions),
    )


def are_counts_equal(status: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two statuses count the same tasks and pods; estimates alone move a little all the time."""
    tasks, other_tasks = status.get("queue") or {}, other.get("queue") or {}
    return all(tasks.get(name) == other_tasks.get(name) for name in ("ready", "unacked", "consumers")) and all(
        status.get(name) == other.get(name) for name in _COUNTS
    )


def is_at_rest(status: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether no task waits or runs and nothing was learned since `other` that a restart should find there."""
    tasks = status.get("queue") or {}
    is_empty = tasks.get("ready") == tasks.get("unacked") == 0
    return is_empty and all(status.get(name) == other.get(name) for name in _LEARNED)


def _queue(reading: Reading, estimates: Estimates) -> dict[str, int | None] | None:
    if isinstance(reading, Unknown):
        return None
    oldest = estimates.oldest_wait_seconds
    return {
        "ready": reading.ready,
        "unacked": reading.unacked,
        "consumers": reading.consumers,
        "oldestMessageAgeSeconds": None if oldest is None else round(oldest),
    }


def _measured(estimates: Estimates) -> dict[str, str | None]:
    miss, wait = estimates.miss_probability, estimates.wait_seconds
    return {
        "wait": None if wait is None else f"{wait:.0f}s",
        "arrivalRate": _decimal(estimates.arrivals_per_second),
        "arrivalRateUpper": _decimal(estimates.arrivals_upper_per_second),
        "serviceSeconds": _decimal(estimates.service_seconds),
        "coldStartSeconds": _decimal(estimates.cold_start_seconds),
        "keepAliveSeconds": _decimal(estimates.keep_alive_seconds),
        "predictedMissPercent": None if miss is None else f"{100 * miss:.1f}",
    }


def _last_decision(report: PoolReport, previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    decided = report.obstacle or report.decision
    if decided is None:
        raise ValueError("a pool has either a decision or an obstacle")
    replicas = report.decision.replicas if report.decision else None
    is_same = previous.get("reason") == decided.reason.value and previous.get("replicas") == replicas
    return {
        "replicas": replicas,
        "reason": decided.reason.value,
        "message": shorten(decided.message, MESSAGE_LIMIT),
        "time": previous["time"] if is_same and "time" in previous else to_rfc3339(now),
    }


def _without_absent(status: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_absent(value) if isinstance(value, Mapping) else value
        for key, value in status.items()
        if value is not None
    }


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - three digits
