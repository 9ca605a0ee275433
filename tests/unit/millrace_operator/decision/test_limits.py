"""Who else has a say: budgets, the cluster, Triton, rollouts, the user. Each changes number and reason together."""

import pytest
from pool_model import SCHEDULER_SAYS
from timeline import pool

from millrace_operator.api.worker_pool import BudgetReference, Fallback, Mode
from millrace_operator.model.decision import Reason

BUDGET = BudgetReference(name="gpus")


def test_a_budget_gives_less_than_is_wanted_and_says_so() -> None:
    line = pool(budget=BUDGET).at(0).granted(4).backlog(10).expects(4, Reason.BUDGET_EXHAUSTED)

    assert "CapacityBudget 'gpus' gives 4" in line.last.message


def test_a_budget_that_gives_enough_is_not_named() -> None:
    pool(budget=BUDGET).at(0).granted(10).backlog(10).expects(10, Reason.BACKLOG_TO_DRAIN)


def test_a_budget_takes_back_what_others_need() -> None:
    line = pool(budget=BUDGET, task=1000, replicas=10).at(0).backlog(10).expects(10, Reason.WORK_IN_PROGRESS)

    line.at(1).granted(6).expects(6, Reason.BUDGET_EXHAUSTED)


def test_a_budget_does_not_take_pods_from_a_pool_that_cannot_be_read() -> None:
    line = pool(budget=BUDGET, replicas=10).at(0).granted(6).blind().expects(10, Reason.METRICS_UNAVAILABLE)

    assert [] == line.at(60).writes


def test_a_fallback_stays_within_the_budget() -> None:
    fallback = Fallback(failure_threshold=1, replicas=8)

    pool(budget=BUDGET, fallback=fallback).at(0).granted(3).blind().expects(3, Reason.BUDGET_EXHAUSTED)


def test_pods_without_a_place_stop_further_scale_up_and_the_scheduler_is_quoted() -> None:
    line = pool(max_replicas=50, room=5).at(0).backlog(10).expects(10, Reason.BACKLOG_TO_DRAIN)

    line.at(1).backlog(30).expects(10, Reason.PODS_UNSCHEDULABLE)
    assert f"but 5 pods cannot be scheduled ({SCHEDULER_SAYS})" in line.last.message


def test_a_place_that_was_found_lets_the_pool_grow_again() -> None:
    line = pool(max_replicas=50, room=5, task=1000).at(0).backlog(10).at(1).backlog(30).at(5)
    line.model.room = None
    line.model.scale(line.model.asked)

    line.expects(40, Reason.BACKLOG_TO_DRAIN)


def test_pods_without_a_place_go_when_the_work_is_gone() -> None:
    line = pool(max_replicas=50, room=5, task=5, cold_start=2).at(0).backlog(10).at(120)

    line.expects_between(0, 0)


def test_a_saturated_triton_stops_further_scale_up() -> None:
    line = pool(replicas=3, task=60).at(0).triton(queue_seconds=0.3, compute_seconds=0.2).backlog(10)

    line.expects(3, Reason.INFERENCE_SATURATED)


def test_a_saturated_triton_does_not_stop_the_first_pod() -> None:
    line = pool().at(0).triton(queue_seconds=0.3, compute_seconds=0.2)

    line.backlog(10).expects(1, Reason.INFERENCE_SATURATED)


def test_a_busy_triton_that_keeps_up_stops_nothing() -> None:
    line = pool(replicas=3).at(0).triton(queue_seconds=0.1, compute_seconds=0.2)

    line.backlog(10).expects(10, Reason.BACKLOG_TO_DRAIN)


def test_a_saturated_triton_keeps_no_pod_that_is_not_wanted() -> None:
    line = pool(replicas=3, idle_seconds=5).at(0).triton(queue_seconds=0.3, compute_seconds=0.2)

    line.at(60).expects(0, Reason.AT_MINIMUM)


def test_nothing_is_removed_during_a_rollout() -> None:
    line = pool(idle_seconds=10, task=5).at(0).backlog(10).rollout_begins()

    line.at(60).expects(10, Reason.ROLLOUT_IN_PROGRESS)
    line.at(61).rollout_ends().expects(0, Reason.IDLE_SCALE_DOWN)


def test_a_rollout_does_not_stop_growth() -> None:
    pool(replicas=2).at(0).rollout_begins().backlog(10).expects(10, Reason.BACKLOG_TO_DRAIN)


def test_an_advisory_pool_says_what_it_would_do_and_writes_nothing() -> None:
    line = pool(mode=Mode.ADVISORY, replicas=3, task=60).at(0).backlog(10).expects(10, Reason.BACKLOG_TO_DRAIN)

    assert not line.last.is_binding
    assert line.last.message.startswith("Advisory only, nothing is written. 10 replicas: ")
    assert [] == line.at(300).writes


def test_a_paused_pool_is_left_as_it_is() -> None:
    line = pool(mode=Mode.PAUSED, replicas=3, task=60).at(0).backlog(10).expects(3, Reason.PAUSED)

    assert not line.last.is_binding
    assert [] == line.at(300).writes


@pytest.mark.parametrize("mode", [Mode.ADVISORY, Mode.PAUSED])
def test_a_pool_that_is_only_watched_is_learned_all_the_same(mode: Mode) -> None:
    line = pool(mode=mode, replicas=5, task=4).at(0).arrivals(per_second=1, until=100)

    assert pytest.approx(4, rel=0.1) == line.at(100).look().estimates.service_seconds
