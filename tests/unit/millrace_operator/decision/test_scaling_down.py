"""Down: delayed off, one pod more slowly than several, the last one by what gaps between tasks are like."""

import pytest
from timeline import Timeline, pool

from millrace_operator.model.decision import Reason


def lasting(*seconds: float, **changes: object) -> Timeline:
    """Begin with a task for each time, all running; the user's delay is 10 s, so that numbers are exact."""
    times = iter(seconds)
    line = pool(replicas=len(seconds), idle_seconds=10, task=lambda: next(times), **changes)  # type: ignore[arg-type]  # of pool
    return line.at(0).backlog(len(seconds))


def test_replicas_go_when_fewer_were_enough_for_the_delay_of_the_user() -> None:
    line = pool(idle_seconds=60, task=5, cold_start=2).at(0).backlog(10)

    line.at(8).expects(10, Reason.WAITING_FOR_IDLE)
    line.at(66).expects(10, Reason.WAITING_FOR_IDLE)
    line.at(67).expects(0, Reason.IDLE_SCALE_DOWN)
    assert [(0, 10), (67, 0)] == line.writes


def test_new_work_begins_the_delay_anew() -> None:
    line = pool(idle_seconds=60, task=5, cold_start=2).at(0).backlog(10).at(50).backlog(10)

    line.at(110).expects(10, Reason.WAITING_FOR_IDLE).at(115).expects_between(0, 2, Reason.IDLE_SCALE_DOWN)


def test_what_goes_is_what_the_highest_demand_of_the_delay_did_not_need() -> None:
    line = lasting(100, 100, 100, 105, 105, 300)

    line.at(109).expects(6, Reason.WAITING_FOR_IDLE)
    line.at(110).expects(3, Reason.IDLE_SCALE_DOWN)
    line.at(115).expects(1, Reason.IDLE_SCALE_DOWN)


def test_one_pod_too_many_stays_twice_as_long_as_two_would() -> None:
    lasting(100, 300, 300).at(119).expects(3, Reason.WAITING_FOR_IDLE).at(120).expects(2, Reason.IDLE_SCALE_DOWN)
    lasting(100, 100, 300).at(109).expects(3, Reason.WAITING_FOR_IDLE).at(110).expects(1, Reason.IDLE_SCALE_DOWN)


def test_a_pod_that_is_dear_to_start_stays_through_a_short_pause() -> None:
    line = pool(max_replicas=10, task=30, cold_start=60).at(0).backlog(10).at(105).backlog(10)

    assert [] == line.at(130).drops


def test_a_pod_that_is_quick_to_start_goes_soon() -> None:
    line = pool(max_replicas=10, task=5, cold_start=2).at(0).backlog(10).at(60)

    line.expects(0, Reason.AT_MINIMUM)


def test_a_busy_pod_is_never_counted_out() -> None:
    line = pool(max_replicas=50, task=90, cold_start=5).at(0).arrivals(per_second=0.1, until=600, seed=3)

    for second in range(900):
        assert line.at(second).look().replicas >= line.model.busy


def test_a_pod_is_busy_when_its_worker_says_so_whatever_the_broker_says() -> None:
    """Celery acks a task when it begins unless it is told otherwise: adopted apps show no running task in the queue."""
    line = pool(max_replicas=10, idle_seconds=10, task=300, cold_start=2, acks_early=True).at(0).backlog(5)

    line.at(120).expects(5, Reason.WORK_IN_PROGRESS)


def test_a_write_that_lowers_says_so() -> None:
    line = pool(max_replicas=30, task=8, cold_start=4).at(0).arrivals(per_second=2, until=60, seed=5).at(300)

    assert line.drops
    assert {Reason.IDLE_SCALE_DOWN, Reason.KEEP_ALIVE} >= {line.decisions[moment].reason for moment in line.drops}


def test_a_lowered_maximum_lowers_at_once() -> None:
    pool(replicas=10, max_replicas=5).at(0).backlog(8).expects(5, Reason.AT_MAXIMUM)
    pool(replicas=10, max_replicas=5).at(0).expects(5, Reason.AT_MAXIMUM)


def test_without_work_a_pool_rests_at_its_minimum() -> None:
    pool(replicas=5, min_replicas=2, task=5).at(0).backlog(5).at(300).expects(2, Reason.AT_MINIMUM)


def test_a_demand_beyond_the_maximum_is_not_remembered() -> None:
    """Else a raised maximum would bring pods for work that is done."""
    line = pool(replicas=2, max_replicas=2, idle_seconds=600, task=5).at(0).backlog(10).at(60)
    raised = pool(max_replicas=20, idle_seconds=600)
    line.policy = raised.policy

    line.expects(2, Reason.WAITING_FOR_IDLE)


def test_the_last_pod_stays_while_the_next_task_usually_comes_and_would_be_late() -> None:
    """Each 100 s a task, the objective is 30 s, a new pod takes 60 s: only the first may be late."""
    line = pool(objective=30, task=5, cold_start=60).at(0).arrivals(per_second=1 / 100, until=1000)

    line.at(950).expects(1, Reason.KEEP_ALIVE)
    assert line.at(1100).on_time(since=101) == 1.0
    assert [(100, 1)] == line.writes


def test_where_pods_come_too_late_those_of_the_first_bursts_meet_a_larger_one() -> None:
    """Two bursts of 20 tasks, then one of 40: 30 s for a new pod, where 10 s are the objective."""
    line = pool(max_replicas=60, objective=10, task=2, cold_start=30).remembers(task=2, cold_start=30)
    line.at(60).backlog(20).at(180).backlog(20).at(300).backlog(40)

    assert line.at(400).on_time(since=180) == 1.0


def test_the_last_pod_goes_like_others_where_a_new_one_comes_within_the_objective() -> None:
    line = pool(objective=30, task=5, cold_start=2).at(0).arrivals(per_second=1 / 100, until=1000)

    assert 10 == len(line.at(1060).drops)
    assert line.on_time() == 1.0


def test_no_pod_is_started_to_be_kept() -> None:
    pool(task=5, cold_start=60).remembers(task=5, cold_start=60).at(0).expects(0, Reason.AT_MINIMUM)


def test_the_delay_of_the_user_holds_for_the_last_pod_as_well() -> None:
    line = pool(objective=30, idle_seconds=20, task=5, cold_start=60).at(0).backlog(1)

    line.at(84).expects(1, Reason.WAITING_FOR_IDLE).at(85).expects(0, Reason.IDLE_SCALE_DOWN)


@pytest.mark.parametrize("task", [5, 120])
def test_pods_of_a_burst_are_gone_soon_after_it(task: float) -> None:
    """A burst is no rate: what it needed says nothing about what comes."""
    line = pool(max_replicas=40, objective=120, task=task, cold_start=10).at(0).backlog(40)
    ended = 10 + task

    line.at(ended + 60 + task).expects_between(0, 1)
