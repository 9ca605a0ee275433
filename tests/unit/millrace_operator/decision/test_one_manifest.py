"""One manifest, whatever a task takes; what a pool learns and forgets, and what outlasts a restart of the operator."""

import random

import pytest
from timeline import Timeline, pool

from millrace_operator.model.decision import Reason

LOAD = 5
"""Busy slots on average, in all of them."""


def manifest(task: float) -> Timeline:
    """Begin the one pool of this file: nothing in it says how long a task takes."""
    return pool(objective=30, percentile=95, max_replicas=60, task=task, cold_start=5)


@pytest.mark.parametrize(("task", "seconds"), [(0.1, 120), (1, 300), (10, 900), (120, 3600)])
def test_the_same_objective_holds_with_nothing_changed(task: float, seconds: float) -> None:
    line = manifest(task).at(0).arrivals(per_second=LOAD / task, until=seconds, seed=11).at(seconds)

    assert line.on_time() >= 0.95
    assert line.model.pod_seconds <= 2.5 * LOAD * seconds


def test_times_that_vary_keep_the_objective_too() -> None:
    chance = random.Random(5)
    line = manifest(10)
    line.model.task_seconds = lambda: chance.lognormvariate(-0.25, 0.707) * 10
    line.at(0).arrivals(per_second=LOAD / 10, until=900, seed=12).at(900)

    assert line.on_time() >= 0.95


@pytest.mark.parametrize("task", [0.1, 1, 10])
def test_the_burst_of_a_hundred_tasks_keeps_the_objective_too(task: float) -> None:
    line = manifest(task).at(60).backlog(100).at(200)

    assert line.on_time() == 1.0


def test_tasks_that_become_slower_are_followed() -> None:
    line = manifest(1).at(0).arrivals(per_second=1, until=1200, seed=2).at(300).tasks_take(10)

    assert pytest.approx(10, rel=0.2) == line.at(900).look().estimates.service_seconds
    assert line.at(1200).on_time(since=500) >= 0.95


def test_a_burst_is_not_taken_for_a_rate() -> None:
    line = pool(max_replicas=50, task=2, cold_start=5).remembers(task=2, cold_start=5).at(600).backlog(100)
    rate = line.at(620).look().estimates.arrivals_per_second

    assert rate is not None
    assert rate <= 0.5


def test_a_burst_asks_for_hardly_more_pods_than_it_has_tasks() -> None:
    """Its own tasks may weigh a little in the rate of the last hour."""
    line = pool(max_replicas=500, task=100, cold_start=60).remembers(task=100, cold_start=60).at(600).backlog(40)

    assert 50 >= max(line.at(second).look().replicas for second in range(600, 700))


def test_a_rate_outlasts_a_lull_that_chance_explains() -> None:
    line = pool(max_replicas=50, task=10).at(0).arrivals(per_second=0.5, until=900, seed=4).at(900)
    rate = line.at(905).look().estimates.arrivals_per_second

    assert rate is not None
    assert 0.3 <= rate <= 0.7


def test_a_load_that_ended_is_forgotten() -> None:
    line = pool(max_replicas=50, task=10, cold_start=5).at(0).arrivals(per_second=1, until=900, seed=4).at(1200)

    line.expects(0, Reason.AT_MINIMUM)


def test_an_operator_that_restarts_still_knows_tasks_and_cold_starts() -> None:
    line = pool(max_replicas=50, task=5, cold_start=3).at(0).arrivals(per_second=2, until=600, seed=6).at(300)
    line.look()
    line.at(301).operator_restarts()
    estimates = line.look().estimates

    assert pytest.approx(5, rel=0.1) == estimates.service_seconds
    assert pytest.approx(3, rel=0.1) == estimates.cold_start_seconds


def test_an_operator_that_restarts_lowers_nothing_until_it_has_watched() -> None:
    line = pool(max_replicas=50, task=5, cold_start=3).at(0).arrivals(per_second=2, until=600, seed=6).at(300)
    line.look()
    line.at(301).operator_restarts().at(330)

    assert not [moment for moment in line.drops if moment >= 301]
    assert line.at(600).on_time() >= 0.95


def test_an_operator_that_restarts_may_raise_at_once() -> None:
    line = pool(max_replicas=20, replicas=2, task=5).at(0).backlog(2).look()
    assert line.replicas == 2

    pool(max_replicas=20, replicas=2, task=5).remembers(task=5, cold_start=2).at(0).backlog(200).expects(
        20, Reason.AT_MAXIMUM
    )


def test_the_first_pods_teach_the_cold_start() -> None:
    line = pool(max_replicas=20, cold_start=17).at(0).backlog(5).at(18)

    assert 17 == line.look().estimates.cold_start_seconds
