from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_loadtest.simulator.comparison import Run, run_once
from millrace_loadtest.simulator.policies import NAMES
from millrace_loadtest.simulator.pool import PodTraits, SimulatedPool
from millrace_loadtest.simulator.scaler import idle_first, write_replicas
from millrace_loadtest.simulator.scenario import Scenario, scenario_from
from millrace_loadtest.simulator.workload import Workload


def a_load(*tasks: tuple[float, float]) -> Workload:
    """Tasks as (arrival, seconds)."""
    arrivals, services = [at for at, _ in tasks], [seconds for _, seconds in tasks]
    return Workload(arrivals=arrivals, services=services, horizon=100.0, rate=lambda _: 0.0)


def a_pool(*tasks: tuple[float, float], cold_start: float = 10.0, slots: int = 1) -> SimulatedPool:
    return SimulatedPool(
        a_load(*tasks), PodTraits(slots=slots, cold_start_seconds=cold_start, grace_seconds=5.0), chance=Random(1)
    )


def a_scenario() -> Scenario:
    return scenario_from(
        {
            "title": "a short load that comes and goes",
            "horizon_seconds": 400,
            "arrivals": [{"steps": [[0, 0.5], [100, 0.05]]}],
            "service": {"seconds": 20, "variation": 0.5},
            "pod": {"cold_start_seconds": 10, "grace_seconds": 5},
            "objective": {"wait_seconds": 20, "percentile": 95},
            "max_replicas": 20,
        },
        name="short",
    )


def test_a_pod_takes_no_task_before_its_cold_start_is_over() -> None:
    pool = a_pool((0.0, 3.0))
    pool.add(1)
    pool.advance(50.0)
    assert [10.0] == pool.ledger.waits


def test_tasks_begin_in_order_of_arrival() -> None:
    pool = a_pool((1.0, 5.0), (2.0, 5.0), (3.0, 5.0), cold_start=0.0)
    pool.add(1)
    pool.advance(50.0)
    assert [0.0, 4.0, 8.0] == pool.ledger.waits


def test_a_pod_runs_as_many_tasks_at_once_as_it_has_slots() -> None:
    pool = a_pool((1.0, 5.0), (1.0, 5.0), (1.0, 5.0), cold_start=0.0, slots=2)
    pool.add(1)
    pool.advance(2.0)
    assert (2, 1) == (pool.running, len(pool.waiting))


def test_a_busy_victim_is_killed_only_when_its_grace_is_over() -> None:
    pool = a_pool((0.0, 30.0), cold_start=0.0)
    pool.add(1)
    pool.advance(1.0)
    pool.stop(pool.alive, grace_seconds=5.0)
    pool.advance(5.9)
    assert 1 == pool.running
    pool.advance(6.1)
    assert (0, [0]) == (pool.running, list(pool.waiting))


def test_a_killed_task_goes_back_to_the_head_of_the_queue() -> None:
    pool = a_pool((0.0, 30.0), (1.0, 1.0), cold_start=0.0)
    pool.add(1)
    pool.advance(2.0)
    pool.stop(pool.alive, grace_seconds=5.0)
    pool.advance(10.0)
    assert [0, 1] == list(pool.waiting)


def test_a_victim_that_ends_within_its_grace_loses_nothing() -> None:
    pool = a_pool((0.0, 4.0), cold_start=0.0)
    pool.add(1)
    pool.advance(1.0)
    pool.stop(pool.alive, grace_seconds=5.0)
    pool.advance(10.0)
    assert (1, []) == (pool.completed, pool.pods)


def test_a_draining_pod_finishes_its_task_and_takes_no_other() -> None:
    pool = a_pool((0.0, 4.0), (2.0, 4.0), cold_start=0.0)
    pool.add(1)
    pool.advance(1.0)
    pool.drain(pool.pods[0])
    pool.advance(10.0)
    assert (1, 1) == (pool.completed, len(pool.waiting))


def test_a_pod_that_is_armed_again_takes_the_tasks_that_wait() -> None:
    pool = a_pool((0.0, 4.0), (2.0, 4.0), cold_start=0.0)
    pool.add(1)
    pool.advance(1.0)
    pool.drain(pool.pods[0])
    pool.advance(10.0)
    pool.rearm(pool.pods[0])
    pool.advance(20.0)
    assert 2 == pool.completed


def test_idle_first_spares_the_busy_pod() -> None:
    pool = a_pool((0.0, 30.0), cold_start=0.0)
    pool.add(2)
    pool.advance(1.0)
    write_replicas(pool, 1, removal=idle_first, grace_seconds=5.0, chance=Random(1))
    assert [1] == [len(pod.running) for pod in pool.pods]


@pytest.mark.parametrize("policy", NAMES)
def test_no_task_is_lost_under_any_policy(policy: str) -> None:
    scenario = a_scenario()
    outcome = run_once(Run(scenario, policy, 1))
    assert len(scenario.draw(1).arrivals) == outcome.tasks
    assert outcome.pod_seconds >= outcome.work_seconds


@pytest.mark.parametrize("policy", ["millrace", "keda-one", "knative", "oracle"])
def test_the_same_seed_gives_the_same_outcome(policy: str) -> None:
    assert run_once(Run(a_scenario(), policy, 3)) == run_once(Run(a_scenario(), policy, 3))


def test_millrace_never_stops_a_busy_pod() -> None:
    outcomes = [run_once(Run(a_scenario(), "millrace", seed)) for seed in range(1, 4)]
    assert 0 < sum(outcome.victims for outcome in outcomes)
    assert 0 == sum(outcome.busy_victims for outcome in outcomes)


tasks = st.tuples(st.floats(0, 60), st.floats(0.1, 20))
orders = st.tuples(st.floats(0, 80), st.integers(0, 6))


@settings(max_examples=60)
@given(st.lists(tasks, max_size=25), st.lists(orders, max_size=8))
def test_every_task_waits_or_runs_or_is_done_whatever_is_ordered(
    drawn: list[tuple[float, float]], ordered: list[tuple[float, int]]
) -> None:
    pool = a_pool(*sorted(drawn))
    for at, replicas in sorted(ordered):
        pool.advance(at)
        write_replicas(pool, replicas, removal=idle_first, grace_seconds=5.0, chance=Random(1))
        assert pool.arrived == len(pool.waiting) + pool.running + pool.completed
        assert pool.running == sum(len(pod.running) for pod in pool.pods)
    pool.add(1)
    pool.advance(10_000.0)
    assert pool.is_done
