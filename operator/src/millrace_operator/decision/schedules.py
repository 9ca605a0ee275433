"""Floors by the clock: which schedule of a pool is in force, and which will be before a new pod could be ready. Pure.

An entry with a duration holds for that long. One without holds until any entry of the pool begins. Where several hold,
the highest counts. Times are those of the entry's zone; around a change of the clocks a moment that is skipped fires
once, right after, and one that comes twice fires the first time (as in Debian's cron).

Asked each second for every pool, so the moments of an hour are computed once and kept: the same question always has the
same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from millrace_operator.api.worker_pool import Schedule

FIELDS: Final = 5
HOUR_SECONDS: Final = 3600
LONGEST_CLOCK_CHANGE_SECONDS: Final = 3 * HOUR_SECONDS
"""No zone ever moved its clocks by more for summer time (Troll moves them by two hours)."""
KEPT_ANSWERS: Final = 16_384
"""Enough for 1,000 pools with several schedules each; some MiB."""


class ScheduleError(ValueError):
    """An entry of spec.schedules cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least number of replicas, and what asks for it."""

    replicas: int
    schedule: Schedule
    begins_at: float
    """Seconds since the epoch; in the future while pods are started ahead of it."""


def floor_at(schedules: Sequence[Schedule], *, moment: float, lead_seconds: float) -> Floor | None:
    """Answer the highest floor in force at any time from `moment` on for `lead_seconds`; skip what is a mistake."""
    readable = [schedule for schedule in schedules if not _mistake(schedule.cron, schedule.time_zone)]
    began = [(schedule, _last_until(schedule, moment)) for schedule in readable]
    newest = max((at for _, at in began if at is not None), default=None)
    floors = [_floor(schedule, at) for schedule, at in began if at is not None and _holds(schedule, at, newest, moment)]
    for schedule in readable:
        at = _first_after(schedule, moment, moment + lead_seconds)
        if at is not None:
            floors.append(_floor(schedule, at))
    # The highest; of equal ones that which began first, so that the answer does not change while nothing does.
    return min(floors, key=lambda floor: (-floor.replicas, floor.begins_at), default=None)


def mistakes(schedules: Sequence[Schedule]) -> tuple[str, ...]:
    """Say what is wrong with entries that passed the API's schema, one sentence each, without a full stop."""
    return tuple(filter(None, (_mistake(schedule.cron, schedule.time_zone) for schedule in schedules)))


@lru_cache(maxsize=KEPT_ANSWERS)
def _mistake(cron: str, time_zone: str) -> str:
    try:
        _last_before(cron, time_zone, 0)
    except ScheduleError as error:
        return str(error)
    return ""


def _floor(schedule: Schedule, begins_at: float) -> Floor:
    return Floor(replicas=schedule.min_replicas, schedule=schedule, begins_at=begins_at)


def _holds(schedule: Schedule, began_at: float, newest: float | None, moment: float) -> bool:
    if schedule.duration_seconds is None:
        return began_at == newest
    return moment < began_at + schedule.duration_seconds


def _last_until(schedule: Schedule, moment: float) -> float | None:
    hour = int(moment // HOUR_SECONDS)
    so_far = [at for at in _within(schedule.cron, schedule.time_zone, hour) if at <= moment]
    return so_far[-1] if so_far else _last_before(schedule.cron, schedule.time_zone, hour)


def _first_after(schedule: Schedule, moment: float, limit: float) -> float | None:
    for hour in range(int(moment // HOUR_SECONDS), int(limit // HOUR_SECONDS) + 1):
        for at in _within(schedule.cron, schedule.time_zone, hour):
            if moment < at <= limit:
                return at
    return None


@lru_cache(maxsize=KEPT_ANSWERS)
def _within(cron: str, time_zone: str, hour: int) -> tuple[float, ...]:
    """Answer the moments of an hour since the epoch, in order."""
    begin, end = hour * HOUR_SECONDS, (hour + 1) * HOUR_SECONDS
    zone = _zone(time_zone)
    # From a second earlier on: the first moment of the hour belongs to it.
    moments = _simulate(cron, _away_from_clock_change(begin - 1, zone, direction=-1))
    found: list[float] = []
    while (moment := _next(moments)) is not None and moment < end:
        if moment >= begin:
            found.append(moment)
    return tuple(found)


@lru_cache(maxsize=KEPT_ANSWERS)
def _last_before(cron: str, time_zone: str, hour: int) -> float | None:
    """Answer the last moment before an hour since the epoch; None: there was none in 50 years."""
    limit = hour * HOUR_SECONDS
    moments = _simulate(cron, _away_from_clock_change(limit, _zone(time_zone), direction=1), reverse=True)
    while (moment := _next(moments)) is not None:
        if moment < limit:
            return moment
    return None


def _away_from_clock_change(moment: int, zone: ZoneInfo, *, direction: int) -> datetime:
    """Answer a local time that is `moment`, or some hours off where the local time of `moment` could be ambiguous."""
    around = (moment - LONGEST_CLOCK_CHANGE_SECONDS, moment + LONGEST_CLOCK_CHANGE_SECONDS)
    offsets = {datetime.fromtimestamp(each, zone).utcoffset() for each in around}
    away = direction * LONGEST_CLOCK_CHANGE_SECONDS if len(offsets) > 1 else 0
    return datetime.fromtimestamp(moment + away, zone)


def _simulate(cron: str, start: datetime, *, reverse: bool = False) -> CronSim:
    try:
        # The library would take a sixth field for seconds.
        moments = CronSim(cron, start, reverse=reverse) if len(cron.split()) == FIELDS else None
    except CronSimError as error:
        raise ScheduleError(_no_cron(cron, str(error))) from error
    if moments is None:
        raise ScheduleError(_no_cron(cron, "not five fields"))
    return moments


def _no_cron(cron: str, why: str) -> str:
    return f'schedule "{cron}" is no cron expression ({why}); write minute hour day month weekday: "0 8 * * 1-5"'


def _next(moments: CronSim) -> float | None:
    found = next(moments, None)
    return None if found is None else found.timestamp()


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # A name may be no name of a file at all: zoneinfo then lets the file system's errors out.
    except (ValueError, OSError, KeyError) as error:
        raise ScheduleError(
            f'time zone "{name}" is unknown; write one of the IANA database: "Europe/Berlin"'
        ) from error
