"""Pods as slots, now and soon."""

import pytest

from millrace_operator.decision.supply import Supply, supply_of
from millrace_operator.model.pool_state import PoolState


def supply(state: PoolState, *, now: float = 100.0) -> Supply:
    return supply_of(state, concurrency=2, cold_start_seconds=20.0, now=now)


def test_pods_that_are_asked_for_and_do_not_exist_have_the_whole_cold_start_ahead() -> None:
    assert supply(PoolState(asked=3, ready=1)) == Supply(concurrency=2, ready=1, ready_in_seconds=(20.0, 20.0))


def test_a_starting_pod_is_ready_when_the_cold_start_is_over() -> None:
    state = PoolState(asked=2, existing=2, ready=1, starting_since=(95.0,))

    assert supply(state) == Supply(concurrency=2, ready=1, ready_in_seconds=(15.0,))


def test_a_pod_that_is_late_is_expected_soon_but_not_at_once() -> None:
    state = PoolState(asked=1, existing=1, starting_since=(0.0,))

    (coming,) = supply(state).ready_in_seconds
    assert 0.0 < coming < 20.0


def test_a_pod_without_a_place_is_no_supply() -> None:
    assert 2 == supply(PoolState(asked=5, existing=5, ready=2, unschedulable=3)).pods


def test_a_pod_that_drains_is_no_supply() -> None:
    assert 5 == supply(PoolState(asked=10, existing=10, ready=5, draining=5)).pods


def test_more_pods_than_asked_for_are_supply_until_they_are_gone() -> None:
    assert supply(PoolState(asked=1, existing=3, ready=3)) == Supply(concurrency=2, ready=3, ready_in_seconds=())


@pytest.mark.parametrize(("within", "slot_seconds"), [(10.0, 20.0), (30.0, 80.0)])
def test_slots_count_from_the_moment_that_they_are_there(within: float, slot_seconds: float) -> None:
    there = Supply(concurrency=2, ready=1, ready_in_seconds=(20.0,))

    assert slot_seconds == there.slot_seconds_within(within)
