"""What is known of the future, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.model.outlook import Due
from millrace_operator.observation.beat_entries import BeatEntry, BeatSchedule
from millrace_operator.observation.delayed_tasks import MOST_MOMENTS, SOURCE, Agenda, read_key


def moments(entry: BeatEntry, *, now: float, horizon_seconds: float) -> list[float]:
    return [due.at for due in entry.due(now=now, horizon_seconds=horizon_seconds)]


@given(seconds=st.integers(1, 2**28 - 1), queue=st.sampled_from(["digits", "a.b.c", "1.0"]))
def test_the_routing_key_of_a_delayed_task_holds_its_delay_and_its_queue(seconds: int, queue: str) -> None:
    assert (seconds, queue) == read_key(".".join(f"{seconds:028b}") + "." + queue)


@pytest.mark.parametrize("key", ["", "digits", "0.1.digits", ".".join("2" * 28) + ".digits"])
def test_another_routing_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"delay|invalid literal"):
        read_key(key)


def test_delayed_tasks_are_told_by_second_and_queue_until_they_are_due() -> None:
    agenda = Agenda()
    for queue, at in (("digits", 110.2), ("digits", 110.9), ("digits", 105.0), ("others", 110.0), ("digits", 200.0)):
        agenda.add(queue, at=at)

    assert {"digits": [Due(at=105.0, tasks=1, source=SOURCE), Due(at=110.0, tasks=2, source=SOURCE)]} == agenda.due(
        ["digits", "nobody"], now=100.0, horizon_seconds=60
    )
    assert {} == agenda.due(["digits"], now=111.0, horizon_seconds=60)


def test_what_is_due_late_is_forgotten_first_when_there_is_too_much() -> None:
    agenda = Agenda()
    for second in range(MOST_MOMENTS + 1):
        agenda.add("digits", at=float(second))

    assert [Due(at=1.0, source=SOURCE)] == agenda.due(["digits"], now=1.0, horizon_seconds=0.5)["digits"]
    assert {} == agenda.due(["digits"], now=float(MOST_MOMENTS), horizon_seconds=60)


def test_an_entry_is_told_once_within_the_horizon() -> None:
    entry = BeatEntry("nightly", "digits", 150.0)

    assert [150.0] == moments(entry, now=100.0, horizon_seconds=60)
    assert [] == moments(entry, now=100.0, horizon_seconds=40)


def test_an_entry_with_an_interval_is_told_as_often_as_it_will_be_sent() -> None:
    assert [110.0, 130.0, 150.0] == moments(BeatEntry("tick", "digits", 110.0, 20.0), now=100.0, horizon_seconds=50)


def test_an_entry_that_is_a_little_late_is_due_now() -> None:
    assert [100.0] == moments(BeatEntry("nightly", "digits", 97.0), now=100.0, horizon_seconds=60)


def test_an_entry_that_nobody_sends_any_more_pre_warms_nothing() -> None:
    assert [] == moments(BeatEntry("nightly", "digits", 50.0), now=100.0, horizon_seconds=60)


def test_entries_of_other_queues_are_left_out() -> None:
    schedule = BeatSchedule(entries=(BeatEntry("a", "digits", 110.0), BeatEntry("b", "others", 110.0)))

    assert {"digits": [Due(at=110.0, source="Beat entry a")]} == schedule.due(["digits"], now=100.0, horizon_seconds=60)
