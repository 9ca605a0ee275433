"""What is known of the future is ready when it comes: schedules, Celery Beat's entries, tasks with an ETA."""

import pytest
from timeline import Timeline, pool

from millrace_operator.api.worker_pool import Schedule
from millrace_operator.decision.known_future import Foresight, look_ahead, tasks_due
from millrace_operator.model.decision import Reason
from millrace_operator.model.outlook import Due

EIGHT_O_CLOCK = 8 * 3600.0
NIGHTLY = "Beat entry nightly-scoring"


def office_hours(**changes: object) -> Timeline:
    schedules = (
        Schedule(cron="0 8 * * *", min_replicas=3),
        Schedule(cron="0 18 * * *", min_replicas=0),
    )
    return pool(schedules=schedules, **changes)  # type: ignore[arg-type]  # of pool


def test_a_schedule_is_a_floor_from_its_moment_on() -> None:
    line = office_hours(begins=EIGHT_O_CLOCK - 120, cold_start=60).remembers(cold_start=60)

    line.at(EIGHT_O_CLOCK - 90).expects(0, Reason.AT_MINIMUM)
    line.at(EIGHT_O_CLOCK + 100).expects(3, Reason.SCHEDULED_FLOOR)


def test_the_floor_of_a_schedule_is_ready_when_it_begins() -> None:
    line = office_hours(begins=EIGHT_O_CLOCK - 120, cold_start=60).remembers(cold_start=60).at(EIGHT_O_CLOCK)

    assert 3 == line.model.state().ready


def test_the_floor_ends_with_the_next_schedule() -> None:
    line = office_hours(begins=18 * 3600.0 - 60, replicas=3, cold_start=2)

    line.at(18 * 3600.0 - 30).expects(3, Reason.SCHEDULED_FLOOR).at(18 * 3600.0 + 120).expects(0, Reason.AT_MINIMUM)


def test_more_work_than_the_floor_raises_the_pool_above_it() -> None:
    line = office_hours(begins=EIGHT_O_CLOCK + 60, replicas=3).at(EIGHT_O_CLOCK + 70).backlog(10)

    line.expects(10, Reason.BACKLOG_TO_DRAIN)


def test_a_floor_above_the_maximum_is_cut_and_said() -> None:
    line = office_hours(begins=EIGHT_O_CLOCK + 60, max_replicas=2).at(EIGHT_O_CLOCK + 60)

    line.expects(2, Reason.AT_MAXIMUM)


def test_tasks_with_an_eta_find_their_pods_ready() -> None:
    line = pool(max_replicas=50, objective=30, task=10, cold_start=60).remembers(task=10, cold_start=60)
    line.at(0).knows(Due(at=300, tasks=40, source="ETA tasks")).at(200).expects(0, Reason.AT_MINIMUM)

    line.at(299).expects_between(10, 40, Reason.KNOWN_TASKS_DUE)
    assert line.at(400).on_time() == 1.0


def test_pods_for_known_tasks_are_asked_for_a_cold_start_ahead_and_not_much_earlier() -> None:
    line = pool(max_replicas=50, task=10, cold_start=60).remembers(task=10, cold_start=60)
    line.at(0).knows(Due(at=300, tasks=40, source="ETA tasks")).at(300)

    assert 1 == len(line.writes)
    assert 225 <= line.writes[0][0] <= 240


def test_known_tasks_are_waited_for_while_they_are_on_their_way() -> None:
    """A clock that differs by a second, or a slow broker, must not send the pods away."""
    line = pool(max_replicas=50, task=10, cold_start=60).remembers(task=10, cold_start=60)
    line.at(0).knows(Due(at=300, tasks=0, source="ETA tasks"))
    line.model.at(302, lambda: line.model.arrive(40))

    assert [] == line.at(320).drops


def test_how_many_tasks_a_beat_entry_becomes_is_learned_at_its_first_time() -> None:
    line = (
        pool(max_replicas=80, objective=30, task=10, cold_start=60).at(0).beat(NIGHTLY, every=600, tasks=60, until=1800)
    )

    assert 1.0 > line.at(900).on_time(), "the first fan-out came as a surprise"
    assert line.at(2000).on_time(since=1000) == 1.0


def test_a_pool_that_is_ready_for_its_batch_asks_for_no_pods_that_would_come_too_late() -> None:
    line = (
        pool(max_replicas=80, objective=30, task=10, cold_start=60).at(0).beat(NIGHTLY, every=600, tasks=60, until=1200)
    )

    before = line.at(1195).look().replicas
    assert before >= max(line.at(second).look().replicas for second in range(1196, 1300))


def test_a_pool_whose_tasks_are_all_known_ahead_sleeps_between_them() -> None:
    """Nothing is gained by an idle pod: the next batch is known, and its pods will be ready."""
    line = (
        pool(max_replicas=80, objective=30, task=10, cold_start=60).at(0).beat(NIGHTLY, every=600, tasks=60, until=2400)
    )

    line.at(2050).expects(0, Reason.AT_MINIMUM)


def test_an_entry_that_brings_less_than_it_did_is_learned_as_well() -> None:
    foresight = Foresight(tasks_by_source={NIGHTLY: 100.0})
    arrived = 0
    for second in range(4000):
        arrived += 10 if second % 600 == 300 else 0
        due = tuple(Due(at=float(at), source=NIGHTLY) for at in range(300, 8000, 600) if at >= second)
        foresight = look_ahead(foresight, due, arrived=float(arrived), now=float(second))

    assert pytest.approx(10, rel=0.5) == foresight.tasks_by_source[NIGHTLY]


def test_each_source_is_learned_by_itself() -> None:
    foresight = Foresight(tasks_by_source={NIGHTLY: 100.0, "Beat entry hourly": 7.0})
    outlook = (Due(at=5, source="Beat entry hourly"), Due(at=8, source=NIGHTLY), Due(at=50, source=NIGHTLY))

    assert (7, "Beat entry hourly") == tasks_due(foresight, outlook[:1], within_seconds=10, now=0)
    assert (107, "Beat entry hourly") == tasks_due(foresight, outlook, within_seconds=10, now=0)


def test_a_source_that_counts_its_tasks_is_believed_where_nothing_was_learned() -> None:
    assert (40, "ETA tasks") == tasks_due(
        Foresight(), (Due(at=5, tasks=40, source="ETA tasks"),), within_seconds=10, now=0
    )


def test_nothing_known_is_nothing_due() -> None:
    assert (0, "") == tasks_due(Foresight(), (), within_seconds=10, now=0)


def test_sources_that_come_and_go_do_not_fill_the_memory() -> None:
    foresight = Foresight()
    for number in range(300):
        now = 20.0 * number
        due = (Due(at=now + 5, source=f"ETA task {number}"),)
        foresight = look_ahead(foresight, due, arrived=float(number), now=now)
        foresight = look_ahead(foresight, (), arrived=float(number + 1), now=now + 10)

    assert len(foresight.tasks_by_source) <= 100
