"""What is told once, when it happens: as an Event of the object and as a line of the log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from millrace_operator.model.decision import Reason
from millrace_operator.model.reading import Unknown
from millrace_operator.reporting.report import Announcement, PoolReport

BLIND_PASSES_BEFORE_EVENT: Final = 5
"""One reading that came late is no news."""
QUIET_SECONDS: Final = 30.0
"""The queue of a pool that was just made, or of a platform that was just installed, appears with its first worker."""
SAME_LIMIT_SECONDS: Final = 300.0
"""A limit that is met again within this time is the same news."""
_TOLD: Final = frozenset({Reason.PODS_UNSCHEDULABLE, Reason.INFERENCE_SATURATED, Reason.BUDGET_EXHAUSTED})
"""What keeps a pool small that its owner may not know of; that it is at its own maximum it knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was announced already, so that it is said once."""

    obstacle: str = ""
    is_blind: bool = False
    scaling_error: str = ""
    limits: Mapping[Reason, float] = field(default_factory=dict)
    """When each limit was met last, in seconds of watching."""
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How long a pool has been looked at, and how long in vain."""

    watched_seconds: float
    blind_passes: int


def announce(report: PoolReport, *, told: Told, sight: Sight) -> tuple[tuple[Announcement, ...], Told]:
    """Say what is new in a report."""
    news: list[Announcement] = list(report.news)
    obstacle = report.obstacle.message if report.obstacle else ""
    if report.obstacle and obstacle != told.obstacle:
        news.append(Announcement(type="Warning", reason=report.obstacle.reason.value, message=obstacle))
    is_blind = _tell_sight(report, told=told, sight=sight, news=news)
    error = report.outcome.error if report.outcome else ""
    if error and error != told.scaling_error:
        news.append(Announcement(type="Warning", reason="ScalingFailed", message=f"Replicas not written: {error}."))
    if report.mistakes and report.mistakes != told.mistakes:
        message = f"A part of the spec is ignored: {'; '.join(report.mistakes)}."
        news.append(Announcement(type="Warning", reason="ScheduleInvalid", message=message))
    if report.outcome and report.decision and report.outcome.is_changed:
        news.append(Announcement(type="Normal", reason=report.decision.reason.value, message=report.decision.message))
    limits = _tell_limit(report, told=told, sight=sight, news=news)
    return tuple(news), Told(
        obstacle=obstacle, is_blind=is_blind, scaling_error=error, limits=limits, mistakes=report.mistakes
    )


def _tell_limit(report: PoolReport, *, told: Told, sight: Sight, news: list[Announcement]) -> Mapping[Reason, float]:
    decision = report.decision
    if decision is None or decision.reason not in _TOLD or not decision.is_binding:
        return told.limits
    met = told.limits.get(decision.reason)
    if met is None or sight.watched_seconds - met > SAME_LIMIT_SECONDS:
        news.append(Announcement(type="Warning", reason=decision.reason.value, message=decision.message))
    return {**told.limits, decision.reason: sight.watched_seconds}


def _tell_sight(report: PoolReport, *, told: Told, sight: Sight, news: list[Announcement]) -> bool:
    if isinstance(report.reading, Unknown):
        is_early = sight.watched_seconds < QUIET_SECONDS or sight.blind_passes < BLIND_PASSES_BEFORE_EVENT
        if told.is_blind or report.obstacle or is_early:
            return told.is_blind
        message = f"{report.reading.message[:1].upper()}{report.reading.message[1:]}; the pool keeps its size."
        news.append(Announcement(type="Warning", reason="MetricsUnavailable", message=message))
        return True
    if told.is_blind:
        message = f"Queue {report.pool.queue!r} can be read now."
        news.append(Announcement(type="Normal", reason="MetricsAvailable", message=message))
    return False
