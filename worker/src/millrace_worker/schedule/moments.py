"""When an entry is due. Pure: moments are seconds since the epoch, so that no clock change can confuse them.

Cron is computed by cronsim, which follows Debian's cron across daylight saving: what names an hour runs once a day, in
the hour that is skipped at its end and in the hour that is repeated the first time; what has a star for its hour or
minute follows elapsed time.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from millrace_contracts.schedules import ScheduleEntry
from millrace_worker.errors import ScheduleInvalid

CRON_FIELDS: Final = 5
RECENT_SECONDS: Final = 2 * 86_400.0
"""Missed ticks are looked for here first: after a long pause there may be very many before."""


def check(entry: ScheduleEntry) -> None:
    """Raise ScheduleInvalid if the entry's time can never come or cannot be understood."""
    next_after(entry, 0.0)


def next_after(entry: ScheduleEntry, after: float) -> float:
    """Answer the first moment of the entry that is later than `after`."""
    if entry.every_seconds is not None:
        return after + entry.every_seconds
    for moment in _cron_moments(entry, after):
        return moment
    raise ScheduleInvalid(f'schedule "{entry.name}": cron "{entry.cron}" names no day that ever comes')


def latest(entry: ScheduleEntry, *, after: float, until: float) -> float | None:
    """Answer the entry's last moment that is later than `after` and not later than `until`; None if there is none.

    What was missed meanwhile is one tick, the newest.
    """
    if entry.every_seconds is not None:
        periods = math.floor((until - after) / entry.every_seconds)
        return after + periods * entry.every_seconds if periods >= 1 else None
    found = _last(_cron_moments(entry, max(after, until - RECENT_SECONDS)), until)
    if found is None and after < until - RECENT_SECONDS:
        found = _last(_cron_moments(entry, after), until)
    return found


def _last(moments: Iterator[float], until: float) -> float | None:
    last = None
    for moment in moments:
        if moment > until:
            break
        last = moment
    return last


def _cron_moments(entry: ScheduleEntry, after: float) -> Iterator[float]:
    expression = entry.cron or ""
    if len(expression.split()) != CRON_FIELDS:
        raise ScheduleInvalid(
            f'schedule "{entry.name}": cron "{expression}" must have five fields: minute, hour, day, month, weekday'
        )
    start = datetime.fromtimestamp(after, tz=UTC).astimezone(_zone(entry))
    try:
        moments = CronSim(expression, start)
    except CronSimError as error:
        raise ScheduleInvalid(f'schedule "{entry.name}": cron "{expression}" is not valid: {error}') from error
    # In an hour that is repeated, cronsim answers a moment of its first time for a start in its second.
    return (moment.timestamp() for moment in moments if moment.timestamp() > after)


def _zone(entry: ScheduleEntry) -> ZoneInfo:
    try:
        return ZoneInfo(entry.time_zone)
    except (OSError, ValueError, KeyError) as error:
        raise ScheduleInvalid(
            f'schedule "{entry.name}": there is no time zone "{entry.time_zone}"; use an IANA name, like Europe/Berlin'
        ) from error
