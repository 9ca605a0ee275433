"""Up: at once, in one write, by what the objective needs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timeline import pool

from millrace_operator.model.decision import Reason


def test_a_burst_into_an_empty_pool_is_answered_by_the_next_look_in_one_write() -> None:
    line = pool(max_replicas=20, task=5, cold_start=2.3).at(60).backlog(100).expects(20, Reason.AT_MAXIMUM)

    assert [(60, 20)] == line.at(85).writes
    assert line.on_time() == 1.0


def test_the_same_burst_is_answered_the_same_way_when_the_time_of_a_task_is_known() -> None:
    line = pool(max_replicas=20, task=5, cold_start=2.3).remembers(task=5, cold_start=2.3)
    line.at(60).backlog(100).expects_between(16, 20, Reason.AT_MAXIMUM, Reason.BACKLOG_TO_DRAIN)

    assert 1 == len(line.at(80).writes)
    assert line.at(120).on_time() == 1.0


def test_the_first_task_wakes_a_sleeping_pool() -> None:
    pool().at(0).expects(0, Reason.AT_MINIMUM).at(1).backlog(1).expects(1, Reason.BACKLOG_TO_DRAIN)


@pytest.mark.parametrize(
    ("concurrency", "replicas"), [pytest.param(1, 40, id="one slot a pod"), pytest.param(8, 5, id="eight slots a pod")]
)
def test_before_the_time_of_a_task_is_known_each_task_has_a_slot(concurrency: int, replicas: int) -> None:
    pool(max_replicas=50, concurrency=concurrency).at(0).backlog(40).expects(replicas, Reason.BACKLOG_TO_DRAIN)


@pytest.mark.parametrize("task", [0.1, 1, 5, 20, 40, 120])
@pytest.mark.parametrize("cold_start", [2, 20])
def test_a_known_time_of_a_task_saves_pods_and_keeps_the_objective(task: float, cold_start: float) -> None:
    tasks, objective = 60, 30
    in_turn = 1 + int((objective - cold_start) / task)
    least = -(-tasks * 95 // 100 // in_turn)
    line = pool(max_replicas=100, objective=objective, task=task, cold_start=cold_start)
    line.remembers(task=task, cold_start=cold_start).at(0).backlog(tasks)
    line.expects_between(least, min(tasks, int(2.5 * least)), Reason.BACKLOG_TO_DRAIN)

    assert line.at(objective + 300).on_time() >= 0.95


@settings(max_examples=25)
@given(
    tasks=st.integers(min_value=1, max_value=80),
    task=st.floats(min_value=0.1, max_value=150),
    cold_start=st.floats(min_value=0.5, max_value=20),
    concurrency=st.sampled_from([1, 4]),
)
def test_a_burst_keeps_the_objective_wherever_a_cold_start_leaves_time_for_it(
    tasks: int, task: float, cold_start: float, concurrency: int
) -> None:
    line = pool(objective=30, max_replicas=200, concurrency=concurrency, task=task, cold_start=cold_start)
    line.remembers(task=task, cold_start=cold_start).at(0).backlog(tasks)

    assert line.at(60).on_time() >= 0.95


@pytest.mark.parametrize("cold_start", [2, 10, 60])
@pytest.mark.parametrize("task", [1, 10, 100])
def test_pods_that_start_are_neither_asked_for_twice_nor_taken_back(task: float, cold_start: float) -> None:
    line = pool(max_replicas=500, task=task, cold_start=cold_start).remembers(task=task, cold_start=cold_start)
    line.at(50).backlog(400).at(50 + cold_start)

    assert 1 == len(line.writes)


def test_a_pod_that_takes_longer_than_others_did_is_not_asked_for_again() -> None:
    line = pool(max_replicas=100, task=5, cold_start=25).remembers(task=5, cold_start=5).at(0).backlog(50).at(25)

    assert 1 == len(line.writes)


def test_tasks_that_come_while_pods_start_get_pods_of_their_own() -> None:
    line = pool(max_replicas=100, cold_start=10).at(0).backlog(10).expects(10, Reason.BACKLOG_TO_DRAIN)

    line.at(5).backlog(5).expects(15, Reason.BACKLOG_TO_DRAIN)


def test_what_is_late_anyway_gets_no_more_than_a_slot_each() -> None:
    """A pod takes 60 s and the objective is 30 s."""
    line = pool(max_replicas=100, objective=30, task=120, cold_start=60).remembers(task=120, cold_start=60)

    line.at(0).backlog(40).expects_between(20, 40, Reason.BACKLOG_TO_DRAIN)


@pytest.mark.parametrize(
    ("cold_start", "replicas"),
    [
        pytest.param(30, 1, id="that comes too late for it anyway"),
        pytest.param(20, 2, id="except one that comes in time"),
    ],
)
def test_a_part_of_a_task_is_no_reason_for_a_pod(cold_start: float, replicas: int) -> None:
    """Within half an objective after its start a pod starts 1.75 tasks of 12 s, on average."""
    line = pool(objective=30, task=12, cold_start=cold_start).remembers(task=12, cold_start=cold_start)

    line.at(0).backlog(2).expects(replicas, Reason.BACKLOG_TO_DRAIN)


def test_pods_that_work_off_the_backlog_in_time_are_enough() -> None:
    line = pool(max_replicas=100, objective=60, replicas=10, task=2, cold_start=2).remembers(task=2, cold_start=2)

    line.at(0).backlog(50).expects(10, Reason.BACKLOG_TO_DRAIN)


def test_a_steady_load_is_staffed_so_that_tasks_find_a_pod_in_time() -> None:
    line = pool(max_replicas=50, task=5).at(0).arrivals(per_second=1, until=900, seed=7)
    reasons = {line.at(second).look().reason for second in range(300, 900)}

    assert Reason.STEADY_LOAD in reasons
    assert line.on_time() >= 0.95
    assert line.model.pod_seconds <= 2 * 5 * line.model.completed


def test_a_step_in_the_load_is_followed_in_one_objective() -> None:
    line = pool(max_replicas=50, task=5, cold_start=10).at(0).arrivals(per_second=0.2, until=600, seed=1)
    line.at(600).arrivals(per_second=3, until=900, seed=2)

    assert line.at(900).on_time(since=600) >= 0.95


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        pytest.param(11, Reason.BACKLOG_TO_DRAIN, id="something waits"),
        pytest.param(10, Reason.WORK_IN_PROGRESS, id="nothing waits and something runs"),
        pytest.param(0, Reason.WAITING_FOR_IDLE, id="nothing is there, for a short time"),
    ],
)
def test_the_reason_tells_waiting_from_running(tasks: int, reason: Reason) -> None:
    assert reason == pool(replicas=10, task=100).at(0).backlog(tasks).look().reason


def test_more_than_the_maximum_is_never_asked_for() -> None:
    line = pool(max_replicas=20, min_replicas=2).at(0).expects(2, Reason.AT_MINIMUM)

    line.at(1).backlog(1_000_000).expects(20, Reason.AT_MAXIMUM)


def test_a_raised_minimum_raises_the_replicas_at_once() -> None:
    pool(min_replicas=3, replicas=1).at(0).expects(3, Reason.AT_MINIMUM)
