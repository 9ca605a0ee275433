"""What users read. Whole sentences, as they stand in `kubectl describe`, Events and the log."""

import pytest
from pool_model import SCHEDULER_SAYS
from timeline import pool

from millrace_operator.api.worker_pool import BudgetReference, Fallback, Mode, Schedule
from millrace_operator.decision.sentences import count, rate, seconds
from millrace_operator.model.outlook import Due


def test_a_burst_in_a_pool_that_knows_its_tasks() -> None:
    line = pool(max_replicas=50, task=5.1, cold_start=2.3).remembers(task=5.1, cold_start=2.3).at(0).backlog(100)

    asked = line.look().replicas
    line.says(f"{asked} replicas: 100 tasks of 5.1 s wait, 0 run; the objective is 30 s, a new pod takes 2.3 s. Was 0.")


def test_a_burst_in_a_new_pool() -> None:
    pool(max_replicas=50, concurrency=8).at(0).backlog(96).says(
        "12 replicas: 96 tasks wait, 0 run, 8 slots a pod; how long a task takes is not known yet, so each has a slot; "
        "the objective is 30 s. Was 0."
    )


def test_the_first_task() -> None:
    pool().at(0).backlog(1).says(
        "1 replica: 1 task waits, 0 run; how long a task takes is not known yet, so each has a slot; "
        "the objective is 30 s. Was 0."
    )


def test_a_pool_at_its_maximum() -> None:
    pool(max_replicas=20).at(0).backlog(1000).says(
        "20 replicas: 1,000 tasks wait, 0 run; how long a task takes is not known yet, so each has a slot; "
        "1,000 would keep the objective, maxReplicas is 20. Was 0."
    )


def test_running_tasks() -> None:
    pool(replicas=3, task=60).at(0).backlog(3).says("3 replicas: no task waits, 3 run.")


def test_an_idle_pool_at_its_minimum() -> None:
    pool(replicas=2, min_replicas=2).at(0).says("2 replicas: no task waits or runs; minReplicas is 2.")


def test_a_sleeping_pool() -> None:
    pool().at(0).says("0 replicas: no task waits or runs.")


def test_pods_that_wait_for_the_delay_and_then_go() -> None:
    line = pool(idle_seconds=60, task=5, cold_start=2).at(0).backlog(3)

    line.at(30).says(
        "3 replicas: no task waits or runs; 0 would do, and replicas go once fewer have been enough for 60 s."
    )
    line.at(67).says("0 replicas: no task waits or runs; no more have been needed for 60 s. Was 3.")


def test_the_last_pod_that_stays() -> None:
    line = pool(objective=30, task=5, cold_start=60).at(0).backlog(1).at(100)
    stay = seconds(line.look().estimates.keep_alive_seconds or 0.0)

    line.says(f"1 replica: no task waits or runs; the last pod stays for {stay} in case the next task comes by then.")


def test_a_steady_load() -> None:
    line = pool(replicas=6, task=5).remembers(task=5, cold_start=2).at(0).arrivals(per_second=1, until=600).at(600)

    assert ": no task of 5 s waits, 5 run and 1/s arrive" in line.look().message


def test_a_schedule() -> None:
    schedule = Schedule(cron="0 8 * * *", min_replicas=3)

    pool(schedules=(schedule,), begins=8 * 3600.0).at(8 * 3600.0).says(
        "3 replicas: no task waits or runs; schedule '0 8 * * *' asks for 3 at least. Was 0."
    )


def test_known_tasks() -> None:
    line = pool(max_replicas=50).at(0).knows(Due(at=5, tasks=40, source="ETA tasks"))
    asked = line.look().replicas

    line.says(f"{asked} replicas: 40 tasks of ETA tasks come due, the objective is 30 s; no task waits or runs. Was 0.")


def test_one_known_task() -> None:
    pool().at(0).knows(Due(at=5, source="Beat entry nightly-scoring")).says(
        "1 replica: 1 task of Beat entry nightly-scoring comes due, the objective is 30 s; "
        "no task waits or runs. Was 0."
    )


def test_a_queue_that_cannot_be_read() -> None:
    pool(replicas=7).at(0).blind().says(
        "7 replicas: RabbitMQ is unreachable at rabbitmq:5672; "
        "what is unknown scales nothing down, so the pool is held until it can be read."
    )


def test_a_fallback() -> None:
    line = pool(replicas=1, fallback=Fallback(failure_threshold=2, replicas=4)).at(0).blind()

    line.at(1).says(
        "4 replicas: RabbitMQ is unreachable at rabbitmq:5672, 2 times in a row; "
        "spec.fallback holds until it can be read. Was 1."
    )


def test_a_budget() -> None:
    pool(budget=BudgetReference(name="gpus")).at(0).granted(4).backlog(10).says(
        "4 replicas: 10 tasks wait, 0 run; how long a task takes is not known yet, so each has a slot; "
        "the objective is 30 s; 10 are wanted, CapacityBudget 'gpus' gives 4. Was 0."
    )


def test_pods_without_a_place() -> None:
    line = pool(max_replicas=50, room=5).at(0).backlog(10).at(1).backlog(30)

    assert line.look().message.startswith("10 replicas: 40 tasks wait, 0 run")
    assert line.last.message.endswith(f"; 40 are wanted, but 5 pods cannot be scheduled ({SCHEDULER_SAYS}).")


def test_a_saturated_triton() -> None:
    line = pool(replicas=3, task=60).at(0).triton(queue_seconds=0.3, compute_seconds=0.2).backlog(10)

    assert line.look().message.endswith(
        "; 10 are wanted, but requests wait longer in Triton than they are computed, "
        "so more workers would only lengthen its queue."
    )


def test_a_rollout() -> None:
    line = pool(idle_seconds=10, task=5).at(0).backlog(2).rollout_begins().at(60)

    assert line.look().message.endswith("; 0 would do, but nothing is removed while the Deployment rolls out.")


def test_a_paused_pool() -> None:
    pool(mode=Mode.PAUSED, replicas=3, task=60).at(0).backlog(10).says(
        "3 replicas: the pool is paused (spec.mode). Unpaused it would be 10."
    )


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 pods"), (1, "1 pod"), (2, "2 pods"), (1204, "1,204 pods")], ids=str
)
def test_numbers_and_their_nouns(number: int, words: str) -> None:
    assert words == count(number, "pod")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.04, "0.04 s"), (0.123, "0.12 s"), (1.0, "1 s"), (5.1, "5.1 s"), (12.34, "12 s"), (120.0, "120 s")],
    ids=str,
)
def test_times(value: float, words: str) -> None:
    assert words == seconds(value)


@pytest.mark.parametrize(
    ("per_second", "words"),
    [(240.0, "240/s"), (24.0, "24/s"), (2.44, "2.4/s"), (0.2, "12/min"), (0.004, "14/h"), (0.0001, "0.4/h")],
    ids=str,
)
def test_rates(per_second: float, words: str) -> None:
    assert words == rate(per_second)


@pytest.mark.parametrize("per_second", [99.6, 59.9 / 60, 0.0166, 1 / 60])
def test_rates_are_never_written_with_a_power_of_ten(per_second: float) -> None:
    assert "e" not in rate(per_second)
