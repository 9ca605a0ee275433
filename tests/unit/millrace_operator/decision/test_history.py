"""Totals over time: dense for the last seconds, thin before, and short."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.decision.history import LONGEST_GAP_SECONDS, History, arrival_time, extend, mark_before
from millrace_operator.model.reading import QueueReading


def reading(
    at: float, *, ready: int = 0, unacked: int = 0, arrived: int | None = 0, done: int | None = 0
) -> QueueReading:
    return QueueReading(read_at=at, ready=ready, unacked=unacked, arrivals_total=arrived, completions_total=done)


def watched(seconds: int, *, per_second: float = 1.0) -> History:
    history = History()
    for second in range(seconds + 1):
        arrived = int(per_second * second)
        history = extend(history, reading(float(second), arrived=arrived, done=arrived))
    return history


@pytest.fixture(scope="module")
def long_history() -> History:
    return watched(5000, per_second=3.0)


def test_an_hour_is_remembered_in_few_marks(long_history: History) -> None:
    assert len(long_history.marks) <= 250


@pytest.mark.parametrize("age", [1, 10, 60, 120, 200, 300, 500, 900, 1800, 3500])
def test_every_age_within_the_hour_has_a_mark_close_by(long_history: History, age: float) -> None:
    now = long_history.marks[-1].at

    assert age == pytest.approx(now - mark_before(long_history, now - age).at, rel=0.15, abs=1.0)


def test_what_is_older_than_the_hour_is_forgotten(long_history: History) -> None:
    assert long_history.span_seconds <= 1.2 * 3600


@pytest.mark.parametrize("age", [10, 100, 1000, 3000])
def test_the_time_of_an_arrival_is_found_again(long_history: History, age: float) -> None:
    now = long_history.marks[-1].at

    assert age == pytest.approx(now - arrival_time(long_history, 3.0 * (now - age)), rel=0.15, abs=1.0)


def test_a_short_silence_is_bridged() -> None:
    history = extend(extend(History(), reading(0)), reading(LONGEST_GAP_SECONDS, arrived=30))

    assert LONGEST_GAP_SECONDS == history.span_seconds


def test_after_a_long_silence_the_history_begins_anew() -> None:
    history = extend(extend(History(), reading(0)), reading(LONGEST_GAP_SECONDS + 1, arrived=30))

    assert 0 == history.span_seconds


def test_a_reading_of_the_same_moment_adds_nothing() -> None:
    once = extend(extend(History(), reading(0)), reading(1, arrived=5))

    assert once == extend(once, reading(1, arrived=9))


def test_a_source_without_totals_adds_nothing() -> None:
    assert History() == extend(History(), reading(0, ready=5, arrived=None, done=None))


def test_a_total_that_falls_takes_nothing_back() -> None:
    history = extend(extend(History(), reading(0, arrived=100, done=90)), reading(1, arrived=3, done=2))

    assert (100, 90) == (history.marks[-1].arrived, history.marks[-1].completed)


def test_where_completions_are_not_counted_they_follow_from_the_queue() -> None:
    history = extend(History(), reading(0, ready=3, unacked=2, arrived=10, done=None))

    assert 5 == history.marks[-1].completed


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            reading,
            st.floats(min_value=0, max_value=5000),
            ready=st.integers(0, 1000),
            unacked=st.integers(0, 1000),
            arrived=st.none() | st.integers(0, 1000),
            done=st.none() | st.integers(0, 1000),
        ),
        max_size=40,
    )
)
def test_time_and_totals_never_go_back_whatever_is_read(readings: list[QueueReading]) -> None:
    history = History()
    for each in readings:
        history = extend(history, each)
    marks = history.marks

    assert [mark.at for mark in marks] == sorted({mark.at for mark in marks})
    for name in ("arrived", "started", "completed", "slot_seconds"):
        values = [getattr(mark, name) for mark in marks]
        assert values == sorted(values)
    assert all(mark.ages >= 0 for mark in marks)
