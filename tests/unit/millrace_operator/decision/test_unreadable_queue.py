"""What is unknown scales nothing down, however long it lasts."""

import pytest
from timeline import pool

from millrace_operator.api.worker_pool import Fallback
from millrace_operator.model.decision import Reason

TEN_MINUTES = 600


def test_a_queue_that_cannot_be_read_holds_the_pool() -> None:
    pool(replicas=7).at(0).blind().expects(7, Reason.METRICS_UNAVAILABLE)


def test_a_pool_that_cannot_be_read_keeps_its_minimum() -> None:
    pool(replicas=1, min_replicas=2).at(0).blind().expects(2, Reason.METRICS_UNAVAILABLE)


def test_ten_minutes_without_the_broker_lower_nothing() -> None:
    line = pool(max_replicas=20, task=5).at(0).backlog(12).at(4).blind().at(4 + TEN_MINUTES)

    assert [(0, 12)] == line.writes
    line.expects(12, Reason.METRICS_UNAVAILABLE)


@pytest.mark.parametrize("replicas", [0, 3])
def test_after_ten_minutes_the_pool_is_right_again_within_two_looks(replicas: int) -> None:
    line = pool(max_replicas=20, task=60, replicas=replicas).at(0).blind().at(TEN_MINUTES).backlog(100).sees()

    line.at(TEN_MINUTES + 1).expects(20, Reason.AT_MAXIMUM)


def test_right_after_an_outage_as_many_tasks_may_come_as_wait() -> None:
    """Two looks tell too little of a rate: 18 replicas would do for those that wait, 36 for twice as many."""
    line = pool(max_replicas=60, task=10, cold_start=30).remembers(task=10, cold_start=30).at(0).blind().at(TEN_MINUTES)
    line.backlog(40).sees().look()

    assert 18 < line.at(TEN_MINUTES + 1).backlog(2).look().replicas <= 36


def test_right_after_an_outage_a_single_task_wakes_a_single_pod() -> None:
    line = pool(max_replicas=60, task=10, cold_start=30).remembers(task=10, cold_start=30).at(0).blind().at(TEN_MINUTES)
    line.sees().look()

    assert 1 == line.at(TEN_MINUTES + 1).backlog(1).look().replicas


def test_after_an_outage_the_delay_begins_anew() -> None:
    line = pool(task=5, replicas=8, idle_seconds=10).at(0).blind().at(TEN_MINUTES).sees()

    line.at(TEN_MINUTES + 8).expects(8, Reason.WAITING_FOR_IDLE)
    line.at(TEN_MINUTES + 60).expects(0, Reason.AT_MINIMUM)


def test_what_was_learned_outlasts_an_outage() -> None:
    line = pool(task=5, cold_start=3).at(0).backlog(20).at(100).blind().at(100 + TEN_MINUTES).sees().backlog(1)
    estimates = line.look().estimates

    assert pytest.approx(5, rel=0.1) == estimates.service_seconds
    assert pytest.approx(3) == estimates.cold_start_seconds


def test_one_failed_read_costs_neither_pods_nor_rates() -> None:
    line = pool(max_replicas=50, task=5).at(0).arrivals(per_second=1, until=600, seed=1).at(300)
    before = line.look().estimates.arrivals_per_second
    line.at(301).blind().look()
    line.at(302).sees()

    assert pytest.approx(before, rel=0.1) == line.look().estimates.arrivals_per_second
    assert 302 not in line.drops


def test_the_fallback_raises_the_replicas_after_enough_failures_in_a_row() -> None:
    line = pool(replicas=1, fallback=Fallback(failure_threshold=3, replicas=4)).at(0).blind()

    line.at(1).expects(1, Reason.METRICS_UNAVAILABLE).at(2).expects(4, Reason.FALLBACK_REPLICAS)


def test_the_fallback_never_lowers() -> None:
    line = pool(replicas=9, fallback=Fallback(failure_threshold=1, replicas=4)).at(0).blind()

    line.at(TEN_MINUTES).expects(9, Reason.METRICS_UNAVAILABLE)


def test_failures_count_only_in_a_row() -> None:
    line = pool(replicas=1, fallback=Fallback(failure_threshold=2, replicas=4)).at(0).blind().at(1).sees()

    line.at(2).blind().expects(1, Reason.METRICS_UNAVAILABLE)
