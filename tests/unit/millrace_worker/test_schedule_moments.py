"""When a schedule is due: across daylight saving, after pauses, and for what can never come."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace_contracts.schedules import ScheduleEntry, TaskTarget
from millrace_worker.errors import ScheduleInvalid
from millrace_worker.schedule import moments

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo")
FIRST = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
LAST = datetime(2027, 12, 31, tzinfo=UTC).timestamp()

zones = st.sampled_from(ZONES)
instants = st.floats(min_value=FIRST, max_value=LAST, allow_nan=False)
minutes = st.one_of(st.just("*"), st.just("*/7"), st.integers(0, 59).map(str))
hours = st.one_of(st.just("*"), st.just("*/5"), st.integers(0, 23).map(str))
days = st.sampled_from(["*", "1", "15", "31", "L"])
weekdays = st.sampled_from(["*", "mon-fri", "0", "7", "2,4"])
crons = st.tuples(minutes, hours, days, st.sampled_from(["*", "3", "10-11"]), weekdays).map(" ".join)


def entry(*, cron: str | None = None, zone: str = "UTC", every: float | None = None) -> ScheduleEntry:
    when = {"cron": cron, "time_zone": zone} if cron else {"every_seconds": every}
    return ScheduleEntry(name="nightly", task=TaskTarget(name="a.b", queue="q"), **when)


def ticks(scheduled: ScheduleEntry, after: float) -> Iterator[float]:
    while True:
        after = moments.next_after(scheduled, after)
        yield after


@given(cron=crons, zone=zones, after=instants)
@example(cron="30 2 * * *", zone="Europe/Berlin", after=datetime(2026, 10, 25, 1, 10, tzinfo=UTC).timestamp())
def test_the_next_moment_is_always_later(cron: str, zone: str, after: float) -> None:
    assert moments.next_after(entry(cron=cron, zone=zone), after) > after


@settings(max_examples=50)
@given(cron=crons, zone=zones, day=st.dates(datetime(2025, 1, 1).date(), datetime(2027, 6, 1).date()))  # noqa: DTZ001 - dates
def test_moments_are_those_of_debians_cron(cron: str, zone: str, day: datetime) -> None:
    start = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    expected = [moment.timestamp() for moment in islice(CronSim(cron, start), 30)]
    assert expected == list(islice(ticks(entry(cron=cron, zone=zone), start.timestamp()), 30))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 0 * * *", "59 23 * * *", "15 1 * * *"])
def test_what_names_an_hour_runs_once_a_day_also_when_clocks_change(cron: str, zone: str) -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=ZoneInfo(zone))
    moments_of_a_year = islice(ticks(entry(cron=cron, zone=zone), start.timestamp()), 400)
    found = [datetime.fromtimestamp(moment, tz=start.tzinfo).date() for moment in moments_of_a_year]
    assert [found[0] + timedelta(days=n) for n in range(400)] == found


@settings(max_examples=60)
@given(cron=crons, zone=zones, after=instants, pause=st.floats(min_value=0, max_value=20 * 86_400))
def test_of_what_was_missed_the_newest_is_sent(cron: str, zone: str, after: float, pause: float) -> None:
    scheduled, until = entry(cron=cron, zone=zone), after + pause
    found = moments.latest(scheduled, after=after, until=until)
    following = moments.next_after(scheduled, after if found is None else found)

    assert following > until
    assert found is None or after < found <= until


@given(
    every=st.floats(min_value=1, max_value=1e6), after=instants, beats=st.integers(0, 1000), rest=st.floats(0.01, 0.99)
)
def test_an_interval_keeps_its_beat_however_late_it_is_looked_at(
    every: float, after: float, beats: int, rest: float
) -> None:
    found = moments.latest(entry(every=every), after=after, until=after + (beats + rest) * every)
    expected = pytest.approx(after + beats * every) if beats else None
    assert expected == found


@pytest.mark.parametrize(
    ("cron", "zone", "word"),
    [
        ("0 2 * *", "UTC", "five fields"),
        ("0 0 2 * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "not valid"),
        ("soon at the o'clock", "UTC", "not valid|five fields"),
        ("0 0 30 2 *", "UTC", "not valid|never|ever"),
        ("0 2 * * *", "Europe/Atlantis", "Atlantis"),
        ("0 2 * * *", "../etc/passwd", "time zone"),
    ],
)
def test_what_can_never_come_is_refused_by_name(cron: str, zone: str, word: str) -> None:
    with pytest.raises(ScheduleInvalid, match=f'"nightly".*({word})'):
        moments.check(entry(cron=cron, zone=zone))
