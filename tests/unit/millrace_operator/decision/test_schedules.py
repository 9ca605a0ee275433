"""Floors by the clock, in the zone of the schedule, begun early enough that pods are ready."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.api.worker_pool import Schedule
from millrace_operator.decision.schedules import floor_at, mistakes

BERLIN = "Europe/Berlin"
OFFICE = Schedule(cron="0 8 * * 1-5", time_zone=BERLIN, min_replicas=10)
EVENING = Schedule(cron="0 18 * * *", time_zone=BERLIN, min_replicas=2)


def at(text: str, *, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def floor(*schedules: Schedule, moment: float, lead: float = 0.0) -> int | None:
    found = floor_at(schedules, moment=moment, lead_seconds=lead)
    return None if found is None else found.replicas


def test_without_schedules_there_is_no_floor() -> None:
    assert floor(moment=at("2026-03-02 09:00")) is None


def test_an_entry_holds_until_another_begins() -> None:
    assert 2 == floor(OFFICE, EVENING, moment=at("2026-03-02 07:59:59"))
    assert 10 == floor(OFFICE, EVENING, moment=at("2026-03-02 08:00"))
    assert 10 == floor(OFFICE, EVENING, moment=at("2026-03-02 17:59:59"))
    assert 2 == floor(OFFICE, EVENING, moment=at("2026-03-02 18:00"))


def test_what_began_before_a_weekend_holds_over_it() -> None:
    assert 2 == floor(OFFICE, EVENING, moment=at("2026-03-08 12:00"))


def test_an_entry_with_a_duration_ends_by_itself() -> None:
    noon = Schedule(cron="0 12 * * *", time_zone=BERLIN, min_replicas=5, duration_seconds=3600)

    assert 5 == floor(noon, moment=at("2026-03-02 12:59:59"))
    assert floor(noon, moment=at("2026-03-02 13:00")) is None


def test_an_entry_with_a_duration_ends_one_without() -> None:
    noon = Schedule(cron="0 12 * * *", time_zone=BERLIN, min_replicas=3, duration_seconds=3600)

    assert 3 == floor(OFFICE, noon, moment=at("2026-03-02 12:30"))
    assert floor(OFFICE, noon, moment=at("2026-03-02 13:30")) is None


def test_of_entries_that_begin_together_the_highest_counts() -> None:
    monday = Schedule(cron="0 8 * * 1", time_zone=BERLIN, min_replicas=15)

    assert 15 == floor(OFFICE, monday, moment=at("2026-03-02 09:00"))
    assert 10 == floor(OFFICE, monday, moment=at("2026-03-03 09:00"))


def test_a_floor_begins_as_early_as_pods_take_to_start() -> None:
    found = floor_at([OFFICE, EVENING], moment=at("2026-03-02 07:59"), lead_seconds=60)

    assert found is not None
    assert (10, OFFICE, at("2026-03-02 08:00")) == (found.replicas, found.schedule, found.begins_at)
    assert 2 == floor(OFFICE, EVENING, moment=at("2026-03-02 07:58:59"), lead=60)


def test_a_lower_floor_does_not_begin_early() -> None:
    assert 10 == floor(OFFICE, EVENING, moment=at("2026-03-02 17:59:30"), lead=60)


def test_a_long_lead_reaches_over_the_hour() -> None:
    assert 10 == floor(OFFICE, EVENING, moment=at("2026-03-02 05:30"), lead=3 * 3600)


def test_an_hour_is_that_of_the_zone_also_after_the_clocks_change() -> None:
    """08:00 in Berlin is 07:00 UTC in winter and 06:00 UTC in summer."""
    assert 2 == floor(OFFICE, EVENING, moment=at("2026-03-27 06:30", zone="UTC"))
    assert 10 == floor(OFFICE, EVENING, moment=at("2026-03-30 06:30", zone="UTC"))


def test_a_moment_that_the_clocks_skip_comes_right_after() -> None:
    """On 2026-03-29 clocks in Berlin go from 02:00 to 03:00."""
    night = Schedule(cron="30 2 * * *", time_zone=BERLIN, min_replicas=4, duration_seconds=1800)

    assert floor(night, moment=at("2026-03-29 01:59:59")) is None
    assert 4 == floor(night, moment=at("2026-03-29 03:00"))
    assert floor(night, moment=at("2026-03-29 03:30")) is None


def test_a_moment_that_comes_twice_begins_once() -> None:
    """On 2026-10-25 clocks in Berlin go from 03:00 back to 02:00."""
    night = Schedule(cron="30 2 * * *", time_zone=BERLIN, min_replicas=4, duration_seconds=1800)

    assert 4 == floor(night, moment=at("2026-10-25 02:45"))
    assert floor(night, moment=at("2026-10-25 02:15", fold=1)) is None
    assert floor(night, moment=at("2026-10-25 02:45", fold=1)) is None


def test_what_began_before_the_clocks_went_back_still_holds() -> None:
    night = Schedule(cron="30 2 * * *", time_zone=BERLIN, min_replicas=4)
    evening = Schedule(cron="0 20 * * *", time_zone=BERLIN, min_replicas=1)

    assert 4 == floor(night, evening, moment=at("2026-10-25 02:15", fold=1))


@pytest.mark.parametrize("cron", ["0 25 * * *", "a b c d e", "0 0 30 2 *", "0 8 * * 1-", "* * * * *  *"])
def test_a_cron_that_nobody_can_understand_is_a_mistake_that_is_named(cron: str) -> None:
    (mistake,) = mistakes([OFFICE, Schedule(cron=cron, min_replicas=1)])

    assert cron in mistake


@pytest.mark.parametrize("zone", ["Europe/Bärlin", "Middle/Earth", "../../etc/passwd", "", "Europe", "a\0b"])
def test_a_zone_that_does_not_exist_is_a_mistake_that_is_named(zone: str) -> None:
    (mistake,) = mistakes([Schedule(cron="0 8 * * *", time_zone=zone, min_replicas=1), OFFICE])

    assert f'time zone "{zone}"' in mistake


def test_the_names_of_days_and_months_are_understood() -> None:
    assert () == mistakes([Schedule(cron="0 8 * jan-mar mon,fri", min_replicas=1)])


def test_a_mistake_does_not_disturb_the_other_entries() -> None:
    assert 10 == floor(OFFICE, Schedule(cron="x x x x x", min_replicas=99), moment=at("2026-03-02 09:00"))


@given(
    st.lists(st.text(alphabet="0159*/-,#LWMON?a", min_size=1, max_size=6), min_size=5, max_size=5), st.text(max_size=5)
)
def test_whatever_is_written_is_a_floor_or_a_named_mistake(cron: list[str], zone: str) -> None:
    strange = [
        Schedule(cron=" ".join(cron), min_replicas=1),
        Schedule(cron="0 8 * * *", time_zone=zone, min_replicas=1),
    ]

    assert len(mistakes(strange)) in range(3)
    floor_at(strange, moment=at("2026-03-02 09:00"), lead_seconds=30)


zones = st.sampled_from([BERLIN, "UTC", "Australia/Lord_Howe", "Antarctica/Troll", "America/New_York", "Asia/Kolkata"])
moments = st.integers(min_value=1_700_000_000, max_value=1_800_000_000)
fields = st.tuples(
    st.sampled_from(["0", "30", "*/20", "5,55"]),
    st.sampled_from(["*", "2", "1-3", "*/6", "23"]),
    st.sampled_from(["*", "1", "25-31"]),
    st.sampled_from(["*", "3", "10,11"]),
    st.sampled_from(["*", "0", "1-5"]),
).map(" ".join)
entries = st.builds(
    Schedule,
    cron=fields,
    time_zone=zones,
    min_replicas=st.integers(min_value=0, max_value=9),
    duration_seconds=st.none() | st.sampled_from([60.0, 3600.0, 100_000.0]),
)


@given(st.lists(entries, max_size=4), moments, st.floats(min_value=0, max_value=7200))
def test_a_longer_lead_never_lowers_the_floor(schedules: list[Schedule], moment: int, lead: float) -> None:
    now = floor(*schedules, moment=moment)
    assert now is None or (floor(*schedules, moment=moment, lead=lead) or 0) >= now


@given(st.lists(entries, min_size=1, max_size=4), moments, st.integers(min_value=0, max_value=3600))
def test_whatever_will_be_in_force_within_the_lead_is_a_floor_now(
    schedules: list[Schedule], moment: int, later: int
) -> None:
    then = floor(*schedules, moment=moment + later)
    assert then is None or (floor(*schedules, moment=moment, lead=later) or 0) >= then


@given(st.sampled_from(["UTC", "Asia/Kolkata"]), fields, moments)
def test_an_entry_that_is_in_force_began_when_its_cron_says(zone: str, cron: str, moment: int) -> None:
    schedule = Schedule(cron=cron, time_zone=zone, min_replicas=1)
    found = floor_at([schedule], moment=moment, lead_seconds=0)
    if found is not None:
        began = datetime.fromtimestamp(found.begins_at, ZoneInfo(zone))
        minute, hour = cron.split()[:2]
        assert found.begins_at <= moment
        assert {"0": (0,), "30": (30,), "*/20": (0, 20, 40), "5,55": (5, 55)}[minute].count(began.minute)
        assert hour == "*" or began.hour in {"2": (2,), "1-3": (1, 2, 3), "*/6": (0, 6, 12, 18), "23": (23,)}[hour]
