"""What a decision tells of the pool: the wait to come, the share of late tasks, the waits that were."""

import pytest
from timeline import pool

from millrace_operator.decision.decide import assess
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import QueueReading


def test_the_wait_to_come_is_that_of_the_newest_task() -> None:
    """50 tasks of 10 s wait behind 5 that run: the last begins after ten rounds."""
    line = pool(max_replicas=5, replicas=5, task=10).remembers(task=10, cold_start=2).at(0).backlog(55)
    told = line.look().estimates.wait_seconds
    arrived, waited = line.at(300).model.waits[-1]

    assert 0 == arrived
    assert waited == pytest.approx(told, rel=0.15)


def test_the_wait_to_come_counts_pods_that_are_starting() -> None:
    line = pool(max_replicas=5, task=10, cold_start=20).remembers(task=10, cold_start=20).at(0).backlog(50)
    told = line.at(5).look().estimates.wait_seconds
    _, waited = line.at(300).model.waits[-1]

    assert told is not None
    assert waited - 5 == pytest.approx(told, rel=0.15)


def test_no_wait_is_claimed_where_nothing_can_be_known_of_it() -> None:
    assert None is pool(replicas=5).at(0).backlog(50).look().estimates.wait_seconds


def test_where_nothing_waits_the_wait_to_come_is_zero() -> None:
    assert 0.0 == pool(replicas=5).at(0).backlog(3).look().estimates.wait_seconds


def test_the_share_of_late_tasks_is_small_in_a_steady_pool_that_keeps_its_objective() -> None:
    line = pool(max_replicas=50, task=5).at(0).arrivals(per_second=2, until=900, seed=9).at(900)
    told = line.look().estimates.miss_probability

    assert told is not None
    assert 0.0 <= told <= 0.05


def test_a_pool_that_is_held_below_its_load_says_that_tasks_are_late() -> None:
    line = pool(max_replicas=5, task=5).at(0).arrivals(per_second=2, until=900, seed=9).at(900)

    assert 1.0 == line.look().estimates.miss_probability


def test_each_task_that_starts_is_told_once_with_its_wait() -> None:
    line = pool(max_replicas=5, task=5).at(0)
    told, memory = 0, None
    line.backlog(40)
    for second in range(120):
        line.at(second)
        state = PoolState(asked=line.model.asked, ready=line.model.asked)
        assessment, memory = assess(
            policy=line.policy, state=state, reading=line.model.reading(), memory=memory, now=float(second)
        )
        told += sum(tasks for _, tasks in assessment.waits)

    assert 40 == told


def test_a_source_without_totals_is_sized_by_its_tasks_alone() -> None:
    line = pool(max_replicas=50)
    reading = QueueReading(read_at=0.0, ready=12, unacked=3)
    assessment, _ = assess(policy=line.policy, state=PoolState(asked=3), reading=reading, memory=None, now=0.0)

    assert 15 == assessment.wanted
    assert assessment.estimates.arrivals_per_second is None
