"""Delayed off, as a staircase of past demands."""

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.decision.stabilisation import Staircase, Step, remember, stabilised

DELAY = 10.0


def climbed(*demands: tuple[float, int]) -> Staircase:
    stairs: Staircase = ()
    for at, replicas in demands:
        stairs = remember(stairs, Step(at, replicas), delay_seconds=DELAY)
    return stairs


def test_the_highest_demand_of_the_delay_counts() -> None:
    stairs = climbed((0, 2), (1, 9), (2, 4), (11, 3))

    assert 9 == stabilised(stairs, asked=9, delay_seconds=DELAY, now=11)
    assert 4 == stabilised(stairs, asked=9, delay_seconds=DELAY, now=12)


def test_a_single_pod_too_many_needs_twice_the_delay() -> None:
    stairs = climbed((0, 5), (1, 4), (15, 4))

    assert 5 == stabilised(stairs, asked=5, delay_seconds=DELAY, now=15)
    assert 4 == stabilised(climbed((0, 5), (1, 4), (21, 4)), asked=5, delay_seconds=DELAY, now=21)


def test_the_last_pod_is_no_single_pod_too_many() -> None:
    assert 0 == stabilised(climbed((0, 1), (1, 0), (12, 0)), asked=1, delay_seconds=DELAY, now=12)


def test_demands_that_alternate_by_one_move_no_pod() -> None:
    stairs: Staircase = ()
    for second in range(200):
        stairs = remember(stairs, Step(float(second), 2 + (second % 15 == 0)), delay_seconds=DELAY)
        assert 3 == stabilised(stairs, asked=3, delay_seconds=DELAY, now=float(second))


def test_a_hold_into_the_future_outlasts_equal_demands() -> None:
    stairs = climbed((30, 7), (1, 7), (2, 3), (25, 3))

    assert 7 == stabilised(stairs, asked=7, delay_seconds=DELAY, now=25)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(min_value=0.1, max_value=8), st.integers(0, 50)), min_size=1, max_size=60))
def test_the_staircase_tells_what_a_full_memory_would(demands: list[tuple[float, int]]) -> None:
    now, seen, stairs = 0.0, [], ()  # type: tuple[float, list[tuple[float, int]], Staircase]
    for elapsed, replicas in demands:
        now += elapsed
        seen.append((now, replicas))
        stairs = remember(stairs, Step(now, replicas), delay_seconds=DELAY)

    assert max(number for at, number in seen if at >= now - DELAY) == stabilised(
        stairs, asked=1000, delay_seconds=DELAY, now=now
    )


@settings(max_examples=40)
@given(st.lists(st.integers(0, 50), max_size=100))
def test_the_staircase_descends_and_is_no_longer_than_it_must_be(demands: list[int]) -> None:
    stairs = climbed(*((float(second), replicas) for second, replicas in enumerate(demands)))
    replicas = [step.replicas for step in stairs]

    assert replicas == sorted(set(replicas), reverse=True)
    assert len(stairs) <= 2 * DELAY + 1
