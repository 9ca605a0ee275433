"""What is told once, when it happens: as an Event of the object and as a line of the log."""

from dataclasses import dataclass
from typing import Final, Literal

from millrace_operator.model.reading import Unknown
from millrace_operator.reporting.status import PoolReport

BLIND_PASSES_BEFORE_EVENT: Final = 5
"""A queue that was just made is unreadable for some seconds; that is no news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was announced already, so that it is said once."""

    obstacle: str = ""
    is_blind: bool = False
    scaling_error: str = ""
    is_other_writer: bool = False


def announce(
    report: PoolReport, *, told: Told, blind_passes: int, other_writer: str
) -> tuple[tuple[Announcement, ...], Told]:
    """Say what is new in a report; `other_writer` is the sentence about replicas that another wrote, or empty."""
    news: list[Announcement] = []
    obstacle = report.obstacle.message if report.obstacle else ""
    if report.obstacle and obstacle != told.obstacle:
        news.append(Announcement(type="Warning", reason=report.obstacle.reason.value, message=obstacle))
    is_blind = _tell_sight(report, told=told, blind_passes=blind_passes, news=news)
    error = report.outcome.error if report.outcome else ""
    if error and error != told.scaling_error:
        news.append(Announcement(type="Warning", reason="ScalingFailed", message=f"Replicas not written: {error}."))
    if other_writer and not told.is_other_writer:
        news.append(Announcement(type="Warning", reason="ReplicasChangedByOther", message=other_writer))
    if report.outcome and report.decision and report.outcome.is_changed:
        news.append(Announcement(type="Normal", reason=report.decision.reason.value, message=report.decision.message))
    return tuple(news), Told(
        obstacle=obstacle,
        is_blind=is_blind,
        scaling_error=error,
        is_other_writer=told.is_other_writer or bool(other_writer),
    )


def _tell_sight(report: PoolReport, *, told: Told, blind_passes: int, news: list[Announcement]) -> bool:
    if isinstance(report.reading, Unknown):
        if told.is_blind or report.obstacle or blind_passes < BLIND_PASSES_BEFORE_EVENT:
            return told.is_blind
        message = f"{report.reading.message[:1].upper()}{report.reading.message[1:]}; the pool keeps its size."
        news.append(Announcement(type="Warning", reason="MetricsUnavailable", message=message))
        return True
    if told.is_blind:
        message = f"Queue {report.pool.queue!r} can be read now."
        news.append(Announcement(type="Normal", reason="MetricsAvailable", message=message))
    return False
