"""What a pool's estimates are made from: running totals at past moments, dense for the last seconds and thin before.

Thinning keeps the distance of two marks below an eighth of their age, so an hour takes some 150 marks and a time that
is looked up in them is right within an eighth.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from millrace_operator.model.reading import QueueReading

LONGEST_SECONDS: Final = 3600.0
LONGEST_GAP_SECONDS: Final = 15.0
"""After a longer time without a reading the history begins anew: what ran meanwhile is not known."""
_RESOLUTION: Final = 16
_THIN_EVERY: Final = 16
_AT: Final = attrgetter("at")
_ARRIVED: Final = attrgetter("arrived")
_STARTED: Final = attrgetter("started")


@dataclass(frozen=True, slots=True)
class Mark:
    """Totals at one moment."""

    at: float
    arrived: float
    started: float
    completed: float
    slot_seconds: float
    """Integral of the running tasks over time."""
    ages: float
    """Sum of the ages of the running tasks at that moment, taking them to end in the order in which they began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Marks in order of time. Empty before the first reading."""

    marks: tuple[Mark, ...] = ()
    running: int = 0
    """Tasks that ran at the last mark."""
    since_thinning: int = 0
    first_age_seconds: float = 0.0
    """How old the tasks were on average that ran at the first mark."""

    @property
    def span_seconds(self) -> float:
        """How far it reaches back."""
        return self.marks[-1].at - self.marks[0].at if self.marks else 0.0


def extend(history: History, reading: QueueReading, *, service_seconds: float | None = None) -> History:
    """Add a reading; sources without totals add nothing.

    `service_seconds`, where it is known, tells how old tasks are on average that ran already when the history began.
    """
    if reading.arrivals_total is None:
        return history
    marks, now = history.marks, reading.read_at
    started = reading.arrivals_total - reading.ready
    completed = started - reading.unacked if reading.completions_total is None else reading.completions_total
    if not marks or now - marks[-1].at > LONGEST_GAP_SECONDS:
        age = (service_seconds or 0.0) / 2
        first = Mark(now, reading.arrivals_total, started, completed, 0.0, reading.unacked * age)
        return History(marks=(first,), running=reading.unacked, first_age_seconds=age)
    last = marks[-1]
    if now <= last.at:
        return history
    # A total that fell is a source that lost its memory; what it said before still holds.
    begun = max(last.started, started)
    mark = Mark(
        at=now,
        arrived=max(last.arrived, reading.arrivals_total),
        started=begun,
        completed=max(last.completed, completed),
        slot_seconds=last.slot_seconds + (history.running + reading.unacked) / 2 * (now - last.at),
        ages=_ages(history, now=now, started=begun, running=reading.unacked),
    )
    is_due = history.since_thinning >= _THIN_EVERY
    return History(
        marks=(*(_thinned(marks, now) if is_due else marks), mark),
        running=reading.unacked,
        since_thinning=0 if is_due else history.since_thinning + 1,
        first_age_seconds=history.first_age_seconds,
    )


def forget_when_old(history: History, *, now: float) -> History:
    """Begin anew when nothing was added for too long: a rate must not outlive its source."""
    return History() if history.marks and now - history.marks[-1].at > LONGEST_GAP_SECONDS else history


def mark_before(history: History, moment: float) -> Mark:
    """Find the last mark that is not after `moment`, or the first one."""
    return history.marks[index_before(history, moment)]


def index_before(history: History, moment: float) -> int:
    """Find where the last mark stands that is not after `moment`; 0 where all are."""
    return max(0, bisect_right(history.marks, moment, key=_AT) - 1)


def arrival_time(history: History, number: float) -> float:
    """When the task with this number in the order of arrival came; at the latest when the history began."""
    marks = history.marks
    index = bisect_left(marks, number, key=_ARRIVED)
    if index == 0:
        return marks[0].at
    if index == len(marks):
        return marks[-1].at
    before, after = marks[index - 1], marks[index]
    share = (number - before.arrived) / (after.arrived - before.arrived)
    return before.at + share * (after.at - before.at)


def _ages(history: History, *, now: float, started: float, running: int) -> float:
    """Sum the ages of the `running` tasks that began last."""
    if not running:
        return 0.0
    marks, low = history.marks, started - running
    total, later_at, later_started = 0.0, now, started
    index = len(marks) - 1
    while index >= 0 and later_started > low:
        earlier = marks[index]
        begun = later_started - max(earlier.started, low)
        total += begun * (now - (earlier.at + later_at) / 2)
        later_at, later_started, index = earlier.at, earlier.started, index - 1
    # Those that ran already when the history began.
    return total + max(0.0, later_started - low) * (now - later_at + history.first_age_seconds)


def _thinned(marks: tuple[Mark, ...], now: float) -> tuple[Mark, ...]:
    """Drop the marks without which the gap between their neighbours stays short for its age."""
    kept = [marks[-1]]
    for index in range(len(marks) - 2, -1, -1):
        newer, mark = kept[-1], marks[index]
        older = marks[index - 1] if index else None
        if now - newer.at > LONGEST_SECONDS:
            break
        if older is None or newer.at - older.at > (now - newer.at) / _RESOLUTION:
            kept.append(mark)
    return tuple(reversed(kept))
