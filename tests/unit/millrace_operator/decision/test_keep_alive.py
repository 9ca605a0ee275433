"""How long pods stay without need, learned for each of them from when they were needed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.api.worker_pool import Objective
from millrace_operator.decision.keep_alive import Ladder, Prices, climb, kept, prices

DEAR = prices(cold_start_seconds=60, objective=Objective(wait_seconds=30))
CHEAP = prices(cold_start_seconds=2, objective=Objective(wait_seconds=30))

pasts = st.lists(st.tuples(st.floats(min_value=0.5, max_value=2000), st.integers(0, 300)), max_size=30)


def needed(*moments: tuple[float, int], price: Prices = DEAR) -> Ladder:
    ladder: Ladder = ()
    for at, pods in moments:
        ladder = climb(ladder, needed=pods, prices=price, now=at)
    return ladder


def staying(ladder: Ladder, *, now: float, price: Prices = DEAR) -> int:
    return kept(ladder, prices=price, now=now)


def test_a_pod_stays_through_a_gap_like_those_before() -> None:
    ladder = needed(*((100.0 * number, 1) for number in range(6)))

    assert 1 == staying(ladder, now=599)


def test_a_pod_does_not_wait_for_a_gap_that_is_always_longer_than_is_worth_it() -> None:
    ladder = needed(*((7200.0 * number, 1) for number in range(6)))

    assert 0 == staying(ladder, now=36_000 + 120)


def test_while_tasks_come_the_last_pod_outlasts_a_gap_that_chance_makes_of_their_rate() -> None:
    """Twelve gaps of 3 s by chance at a task each 10 s: the next may well be one of 60 s."""
    ladder: Ladder = ()
    for number in range(13):
        ladder = climb(ladder, needed=1, prices=DEAR, now=3.0 * number, arrivals_per_second=0.1)

    assert 1 == staying(ladder, now=36 + 60)
    assert 0 == staying(ladder, now=36 + 75)


def test_a_rate_at_which_the_next_task_is_not_worth_waiting_for_keeps_no_pod() -> None:
    ladder: Ladder = ()
    for number in range(6):
        ladder = climb(ladder, needed=1, prices=DEAR, now=7200.0 * number, arrivals_per_second=1 / 7200)

    assert 0 == staying(ladder, now=36_000 + 120)


def test_a_gap_much_longer_than_those_before_lets_the_pod_go() -> None:
    ladder = needed(*((20.0 * number, 1) for number in range(10)))

    assert 0 == staying(ladder, now=180 + 120)


def test_after_few_gaps_a_longer_one_is_bridged_than_after_many() -> None:
    few = needed(*((40.0 * number, 1) for number in range(4)))
    many = needed(*((40.0 * number, 1) for number in range(13)))

    assert 1 == staying(few, now=120 + 120)
    assert 0 == staying(many, now=480 + 120)


def test_a_stricter_percentile_bridges_a_longer_gap() -> None:
    strict = prices(cold_start_seconds=60, objective=Objective(wait_seconds=30, percentile=99))
    moments = [(40.0 * number, 1) for number in range(13)]

    assert 1 == staying(needed(*moments, price=strict), now=480 + 80, price=strict)
    assert 0 == staying(needed(*moments), now=480 + 80)


def test_pods_that_are_needed_often_stay_and_those_of_a_rare_peak_go() -> None:
    moments = [(50.0 * number, 20 if number % 40 == 0 else 2) for number in range(121)]

    assert 2 == staying(needed(*moments), now=6000 + 45)


def test_a_dear_start_keeps_a_pod_longer_than_a_cheap_one() -> None:
    once = ((0.0, 1),)

    assert 1 == staying(needed(*once), now=60)
    assert 0 == staying(needed(*once, price=CHEAP), now=60, price=CHEAP)


def test_a_start_that_makes_tasks_late_is_dearer_than_one_that_does_not() -> None:
    relaxed = prices(cold_start_seconds=60, objective=Objective(wait_seconds=600))

    assert DEAR.first > relaxed.first
    assert DEAR.other > relaxed.other


def test_a_pool_that_never_was_keeps_nothing() -> None:
    assert 0 == staying((), now=100)


@settings(max_examples=40)
@given(pasts)
def test_no_pod_stays_longer_than_a_miss_would_cost(past: list[tuple[float, int]]) -> None:
    now, moments = 0.0, []
    for elapsed, pods in past:
        now += elapsed
        moments.append((now, pods))

    assert 0 == staying(needed(*moments), now=now + max(DEAR.first, DEAR.other) + 1)


@settings(max_examples=40)
@given(pasts, st.floats(min_value=0, max_value=1000))
def test_no_more_pods_are_kept_than_ever_were_needed(past: list[tuple[float, int]], later: float) -> None:
    now, moments = 0.0, []
    for elapsed, pods in past:
        now += elapsed
        moments.append((now, pods))

    assert staying(needed(*moments), now=now + later) <= max((pods for _, pods in past), default=0)


@pytest.mark.parametrize("pods", [1, 5, 9, 17, 100, 333])
def test_exactly_the_pods_that_were_needed_are_kept(pods: int) -> None:
    assert pods == staying(needed((0.0, pods)), now=1)


def test_more_than_any_pool_may_have_breaks_nothing() -> None:
    assert staying(needed((0.0, 10_000_000)), now=1) > 0
