"""Rates and times from totals, against queues whose truth is known."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_model import PoolModel

from millrace_operator.decision.estimation import Arrivals, arrival_rate, cautious_service_seconds, service_seconds
from millrace_operator.decision.history import History, extend
from millrace_operator.model.reading import QueueReading

MEAN = 5.0
TIMES: dict[str, Callable[[random.Random], float]] = {
    "fixed": lambda _: MEAN,
    "lognormal": lambda chance: chance.lognormvariate(-0.1116, 0.4724) * MEAN,  # cv 0.5
    "exponential": lambda chance: chance.expovariate(1 / MEAN),
}


def rates(history: History) -> Arrivals:
    found = arrival_rate(history)
    assert found is not None
    return found


def reading(at: float, *, ready: int = 0, unacked: int = 0, arrived: int = 0, done: int = 0) -> QueueReading:
    return QueueReading(read_at=at, ready=ready, unacked=unacked, arrivals_total=arrived, completions_total=done)


def poisson(per_second: float, *, seconds: int, seed: int, step: int = 1, history: History | None = None) -> History:
    chance, arrived, begin = random.Random(seed), 0, 0.0
    if history:
        arrived, begin = int(history.marks[-1].arrived), history.marks[-1].at
    following = chance.expovariate(per_second) if per_second else float("inf")
    history = history or extend(History(), reading(0.0))
    for second in range(step, seconds + 1, step):
        while following <= second:
            arrived, following = arrived + 1, following + chance.expovariate(per_second)
        history = extend(history, reading(begin + second, arrived=arrived, done=arrived))
    return history


def test_nothing_is_claimed_before_it_is_measured() -> None:
    history = extend(History(), reading(0, ready=100))

    assert arrival_rate(History()) is None
    assert arrival_rate(history) is None
    assert service_seconds(History()) is None
    assert service_seconds(history) is None


def test_a_steady_queue_shows_its_rate_and_its_time_of_a_task() -> None:
    """2 tasks arrive and end each second and 10 run: each takes 5 s."""
    history = History()
    for second in range(301):
        history = extend(history, reading(second, ready=3, unacked=10, arrived=13 + 2 * second, done=2 * second))

    assert pytest.approx(2.0, rel=0.05) == rates(history).sustained
    assert pytest.approx(5.0, rel=0.05) == service_seconds(history)


def test_arrivals_that_nobody_works_on_count() -> None:
    history = History()
    for second in range(121):
        history = extend(history, reading(second, ready=4 * second, arrived=4 * second))

    assert pytest.approx(4.0, rel=0.05) == rates(history).sustained
    assert service_seconds(history) is None


def test_tasks_that_end_between_two_readings_tell_no_time_of_zero() -> None:
    """A source that never sees them running cannot tell how long they ran."""
    history = extend(History(), reading(0, ready=54))
    for second in range(1, 61):
        history = extend(history, reading(second, done=min(54, 27 * second)))

    assert service_seconds(history) is None


@pytest.mark.parametrize("per_second", [0.02, 0.2, 2.0, 20.0])
def test_the_true_rate_of_poisson_arrivals_seldom_exceeds_the_upper_bound(per_second: float) -> None:
    found = [rates(poisson(per_second, seconds=900, seed=seed, step=5)) for seed in range(30)]

    assert sum(each.upper >= per_second for each in found) >= 0.9 * len(found)


@pytest.mark.parametrize("per_second", [0.2, 2.0, 20.0])
def test_the_rate_of_poisson_arrivals_is_close_to_the_true_one(per_second: float) -> None:
    """Within what chance allows the shortest window that may overrule the others, and right on average."""
    found = [rates(poisson(per_second, seconds=900, seed=seed, step=5)).sustained for seed in range(30)]

    assert per_second == pytest.approx(sum(found) / len(found), rel=0.1)
    assert all(per_second / 2 <= rate <= per_second * 2 for rate in found)


def test_tasks_that_come_all_at_once_are_no_rate() -> None:
    history = poisson(0.0, seconds=600, seed=1)
    for second in range(601, 660):
        history = extend(history, reading(second, ready=100, arrived=100))

    assert max(rates(history).sustained, rates(history).recent) <= 0.3


def test_few_arrivals_leave_the_bound_wide_and_many_make_it_narrow() -> None:
    few, many = rates(poisson(0.01, seconds=900, seed=1)), rates(poisson(20, seconds=900, seed=1))

    assert few.upper / few.sustained > 1.3 > many.upper / many.sustained


def test_a_lull_of_seconds_leaves_the_bound_at_what_lasts_at_least() -> None:
    history = History()
    for second in range(609):
        history = extend(history, reading(second, arrived=min(second, 600), done=min(second, 600)))

    found = rates(history)
    assert found.recent < found.sustained <= found.upper


def test_a_load_that_rose_is_seen_within_a_minute() -> None:
    calm = poisson(0.2, seconds=900, seed=1)

    assert rates(poisson(3.0, seconds=60, seed=2, history=calm)).recent >= 1.5


@pytest.mark.parametrize(("before", "after"), [(0.5, 1.5), (1.5, 0.5)])
def test_a_load_that_changed_for_good_is_followed_within_five_minutes(before: float, after: float) -> None:
    """Not at the edge of what the last minutes allow, but near what they show."""
    found = [
        rates(poisson(after, seconds=300, seed=seed, history=poisson(before, seconds=1800, seed=100 + seed))).sustained
        for seed in range(20)
    ]

    assert after == pytest.approx(sum(found) / len(found), rel=0.2)


def test_a_load_that_ended_is_seen_within_a_minute() -> None:
    busy = poisson(3.0, seconds=900, seed=1)

    assert rates(poisson(0.0, seconds=60, seed=2, history=busy)).recent <= 0.1


def test_a_silent_queue_has_a_rate_of_zero_and_a_bound_above_it() -> None:
    silent = rates(poisson(0.0, seconds=900, seed=1))

    assert (0.0, 0.0) == (silent.sustained, silent.recent)
    assert 0.0 < silent.upper <= 0.01


def observed(kind: str, *, seed: int, per_second: float, pods: int, burst: int = 0, tasks: int = 50) -> float | None:
    """Play a pool until so many tasks ended; return the estimated time of a task."""
    chance = random.Random(seed)
    model = PoolModel(
        now=0.0,
        replicas=pods,
        concurrency=1,
        cold_start_seconds=1.0,
        task_seconds=lambda: TIMES[kind](chance),
        room=None,
    )
    model.arrive(burst)
    moment, history = 0.0, History()
    for _ in range(0 if burst else 2 * tasks):
        moment += chance.expovariate(per_second)
        model.at(moment, lambda: model.arrive(1))
    while model.completed < tasks:
        model.advance(model.now + 1.0)
        history = extend(history, model.reading())
    return service_seconds(history)


@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize(
    ("per_second", "pods", "tasks"), [(0.5, 10, 50), (1.0, 10, 50), (4.0, 30, 200)], ids=["calm", "busy", "high"]
)
def test_the_time_of_a_task_is_right_within_a_tenth_after_fifty_tasks(
    kind: str, per_second: float, pods: int, tasks: int
) -> None:
    """On average over pasts, as one past of fifty tasks is uncertain by more where times vary.

    Where 20 run at once, the first 50 to end are the short ones: no one can tell yet, and it takes more of them.
    """
    pasts = [observed(kind, seed=seed, per_second=per_second, pods=pods, tasks=tasks) for seed in range(12)]

    assert pytest.approx(MEAN, rel=0.1) == sum(found or 0.0 for found in pasts) / len(pasts)


def test_the_time_of_fixed_tasks_is_right_within_a_tenth_in_every_past() -> None:
    found = [observed("fixed", seed=seed, per_second=1.0, pods=10) for seed in range(12)]

    assert all(pytest.approx(MEAN, rel=0.1) == each for each in found)


@pytest.mark.parametrize("kind", TIMES)
def test_a_burst_tells_the_time_of_a_task_as_well(kind: str) -> None:
    found = [observed(kind, seed=seed, per_second=0.0, pods=10, burst=100) for seed in range(12)]

    assert pytest.approx(MEAN, rel=0.1) == sum(each or 0.0 for each in found) / len(found)


anything = st.builds(
    QueueReading,
    read_at=st.floats(min_value=0, max_value=1e6) | st.integers(0, 20).map(float),
    ready=st.integers(0, 100_000),
    unacked=st.integers(0, 10_000),
    arrivals_total=st.none() | st.integers(0, 1_000_000),
    completions_total=st.none() | st.integers(0, 1_000_000),
)


@settings(max_examples=40)
@given(st.lists(anything, max_size=30) | st.lists(anything, max_size=30).map(lambda each: sorted(each, key=_moment)))
def test_no_sequence_of_readings_breaks_an_estimate_or_makes_it_negative(readings: list[QueueReading]) -> None:
    history = History()
    for each in readings:
        history = extend(history, each)
        found, service = arrival_rate(history), service_seconds(history)

        assert found is None or 0 <= found.sustained <= found.upper < float("inf")
        assert found is None or 0 <= found.recent < float("inf")
        assert service is None or 0 < service < float("inf")


def _moment(each: QueueReading) -> float:
    return each.read_at


def test_tasks_that_come_and_go_between_two_readings_say_nothing_of_their_time() -> None:
    history = History()
    for second, (arrived, ready, running) in enumerate([(54, 54, 0), (54, 25, 3)]):
        reading = QueueReading(
            read_at=1_795_279_685.37 + 1.04 * second,
            ready=ready,
            unacked=running,
            arrivals_total=arrived,
            completions_total=arrived - ready - running,
        )
        history = extend(history, reading)

    assert service_seconds(history) is None


def ramp(*, begin: float, end: float, seconds: int, seed: int) -> History:
    """Let the rate go from one value to another in a straight line, after it was the first for as long."""
    chance, history, arrived = random.Random(seed), History(), 0
    for second in range(2 * seconds):
        rate = begin + (end - begin) * max(0, second - seconds) / seconds
        arrived += sum(chance.random() < rate / 100 for _ in range(100))
        history = extend(history, reading(second, arrived=arrived, done=arrived))
    return history


def mean_error(*, begin: float, end: float) -> float:
    """Say by what share of the end the rate is wrong on average at the end of a ramp of ten minutes."""
    found = [rates(ramp(begin=begin, end=end, seconds=600, seed=seed)).sustained for seed in range(40)]
    return sum(found) / len(found) / end - 1


def test_a_rate_that_rises_all_along_is_followed_without_a_lag() -> None:
    """The mean of the last two minutes alone would be 6 % below."""
    assert abs(mean_error(begin=1.0, end=3.0)) <= 0.05


def test_a_rate_that_falls_all_along_is_followed_and_rather_too_high_than_too_low() -> None:
    """It is no higher than the mean of the last two minutes, which is 20 % above."""
    assert 0 <= mean_error(begin=3.0, end=1.0) <= 0.2


def test_chance_is_seldom_taken_for_a_trend() -> None:
    found = [rates(poisson(1.0, seconds=900, seed=seed)).sustained for seed in range(100)]

    assert sum(abs(each - 1) > 0.15 for each in found) <= 10


def test_after_a_step_no_trend_leads_beyond_it() -> None:
    calm = poisson(0.2, seconds=900, seed=1)

    assert max(rates(poisson(2.0, seconds=s, seed=2, history=calm)).sustained for s in range(60, 600, 30)) <= 2.5


def test_while_few_tasks_ended_one_is_planned_to_last_longer_than_they_did() -> None:
    def ended(tasks: int) -> History:
        return extend(extend(History(), reading(0.0)), reading(10.0, arrived=tasks, done=tasks))

    assert pytest.approx(8.0) == cautious_service_seconds(ended(5), 5.0)
    assert pytest.approx(5.0, rel=0.02) == cautious_service_seconds(ended(200), 5.0)
