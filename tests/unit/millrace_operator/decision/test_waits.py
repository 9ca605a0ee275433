"""Waits from the order of arrival, against a pool that was watched task by task."""

import random
from itertools import pairwise

import pytest
from pool_model import PoolModel

from millrace_operator.decision.history import History, extend
from millrace_operator.decision.waits import oldest_wait, waits_since
from millrace_operator.model.reading import QueueReading


def played(*, per_second: float, pods: int, seconds: int, seed: int) -> tuple[PoolModel, list[History]]:
    chance = random.Random(seed)
    model = PoolModel(
        now=0.0,
        replicas=pods,
        concurrency=1,
        cold_start_seconds=1.0,
        task_seconds=lambda: chance.expovariate(1 / 5),
        room=None,
    )
    moment = 0.0
    while moment < seconds:
        moment += chance.expovariate(per_second)
        model.at(moment, lambda: model.arrive(1))
    histories = [extend(History(), model.reading())]
    for second in range(1, seconds + 1):
        model.advance(float(second))
        histories.append(extend(histories[-1], model.reading()))
    return model, histories


@pytest.mark.parametrize("per_second", [0.5, 0.95, 1.5], ids=["calm", "at the limit", "too much"])
def test_waits_are_those_of_the_tasks_in_order_of_arrival(per_second: float) -> None:
    model, histories = played(per_second=per_second, pods=5, seconds=600, seed=3)
    told = [wait for before, after in pairwise(histories) for wait in waits_since(before, after)]
    true = [wait for _, wait in model.waits]

    assert len(true) == sum(tasks for _, tasks in told)
    mean = sum(wait * tasks for wait, tasks in told) / len(true)
    assert sum(true) / len(true) == pytest.approx(mean, rel=0.1, abs=1.0)


def test_the_share_of_late_tasks_is_that_of_the_queue() -> None:
    model, histories = played(per_second=1.1, pods=5, seconds=600, seed=4)
    told = [wait for before, after in pairwise(histories) for wait in waits_since(before, after)]
    late = sum(tasks for wait, tasks in told if wait > 30) / sum(tasks for _, tasks in told)

    assert sum(wait > 30 for _, wait in model.waits) / len(model.waits) == pytest.approx(late, abs=0.05)


def test_the_oldest_waiting_task_is_as_old_as_it_is() -> None:
    history = History()
    for second in range(61):
        arrived, started = second + 1, max(0, second - 19)
        seen = QueueReading(
            read_at=float(second), ready=arrived - started, unacked=0, arrivals_total=arrived, completions_total=started
        )
        history = extend(history, seen)

    assert pytest.approx(19, abs=1.5) == oldest_wait(history, waiting=20)


def test_where_nothing_waits_the_oldest_wait_is_zero() -> None:
    history = extend(History(), QueueReading(read_at=0, ready=0, unacked=3, arrivals_total=3, completions_total=0))

    assert 0.0 == oldest_wait(history, waiting=0)


def test_before_a_history_no_wait_is_claimed() -> None:
    assert oldest_wait(History(), waiting=5) is None
    assert () == waits_since(History(), History())


def test_after_a_silence_no_wait_is_claimed() -> None:
    reading = QueueReading(read_at=0, ready=10, unacked=0, arrivals_total=10, completions_total=0)
    before = extend(History(), reading)
    after = extend(before, QueueReading(read_at=500, ready=0, unacked=0, arrivals_total=10, completions_total=10))

    assert () == waits_since(before, after)
