"""From tasks and rates to replicas: laws that no tuning may break."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.api.worker_pool import Objective, PoolPolicy
from millrace_operator.decision.demand import Rates, Work, demand, demand_of_first_tasks, slot_for_each_task
from millrace_operator.decision.supply import Supply

laws = settings(max_examples=30)
works = st.builds(Work, waiting=st.integers(0, 500), running=st.integers(0, 100), due=st.integers(0, 100))
rates = st.builds(
    lambda rate, service, cold: Rates(
        arrivals_per_second=rate,
        recent_arrivals_per_second=rate,
        service_seconds=service,
        cold_start_seconds=cold,
    ),
    st.just(0.0) | st.floats(min_value=1e-4, max_value=10),
    st.floats(min_value=0.05, max_value=200),
    st.floats(min_value=0.5, max_value=200),
)
supplies = st.builds(
    Supply,
    concurrency=st.integers(1, 16),
    ready=st.integers(0, 100),
    ready_in_seconds=st.lists(st.floats(min_value=0, max_value=200), max_size=10).map(tuple),
)


def replicas(work: Work, known: Rates, supply: Supply, *, percentile: int = 95) -> int:
    policy = PoolPolicy(
        concurrency=supply.concurrency,
        min_replicas=0,
        max_replicas=10_000,
        objective=Objective(wait_seconds=30, percentile=percentile),
    )
    return demand(work, rates=known, supply=supply, policy=policy).replicas


@laws
@given(works, rates, supplies, st.integers(0, 500))
def test_more_waiting_tasks_never_need_fewer_pods(work: Work, known: Rates, supply: Supply, more: int) -> None:
    greater = replace(work, waiting=work.waiting + more)

    assert replicas(greater, known, supply) >= replicas(work, known, supply)


@laws
@given(works, rates, supplies, st.integers(0, 100))
def test_more_tasks_to_come_never_need_fewer_pods(work: Work, known: Rates, supply: Supply, more: int) -> None:
    assert replicas(replace(work, due=work.due + more), known, supply) >= replicas(work, known, supply)


@laws
@given(works, rates, supplies)
def test_a_stricter_percentile_never_needs_fewer_pods(work: Work, known: Rates, supply: Supply) -> None:
    assert replicas(work, known, supply, percentile=99) >= replicas(work, known, supply, percentile=90)


@laws
@given(works, rates, supplies)
def test_tasks_that_run_keep_their_pods(work: Work, known: Rates, supply: Supply) -> None:
    assert replicas(work, known, supply) * supply.concurrency >= work.running


@laws
@given(works, rates, supplies)
def test_a_task_that_waits_has_a_pod(work: Work, known: Rates, supply: Supply) -> None:
    assert replicas(replace(work, waiting=work.waiting + 1), known, supply) >= 1


@laws
@given(works, rates, supplies)
def test_a_busy_pool_carries_its_load(work: Work, known: Rates, supply: Supply) -> None:
    load = known.arrivals_per_second * known.service_seconds
    busy = replace(work, running=work.running + 1)

    assert replicas(busy, known, supply) * supply.concurrency >= load


@laws
@given(st.integers(1, 500), rates, st.integers(1, 16))
def test_without_arrivals_no_more_slots_are_needed_than_there_are_tasks(
    waiting: int, known: Rates, concurrency: int
) -> None:
    calm = replace(known, arrivals_per_second=0.0, recent_arrivals_per_second=0.0)
    empty = Supply(concurrency=concurrency, ready=0, ready_in_seconds=())

    assert replicas(Work(waiting=waiting, running=0), calm, empty) <= -(-waiting // concurrency)


@laws
@given(works, st.integers(1, 16))
def test_before_the_time_of_a_task_is_known_there_is_a_slot_for_each(work: Work, concurrency: int) -> None:
    slots = slot_for_each_task(work, concurrency=concurrency).replicas * concurrency

    assert slots >= max(work.running + work.waiting if work.waiting else work.running, work.due)
    assert slots < max(work.running + work.waiting, work.due) + concurrency


@laws
@given(works, rates, supplies)
def test_the_first_tasks_that_ended_never_ask_for_more_than_a_slot_each_nor_for_fewer_than_run(
    work: Work, known: Rates, supply: Supply
) -> None:
    policy = PoolPolicy(concurrency=supply.concurrency, min_replicas=0, max_replicas=10_000)
    few = demand_of_first_tasks(work, rates=known, supply=supply, policy=policy).replicas

    assert few <= slot_for_each_task(work, concurrency=supply.concurrency).replicas
    assert few * supply.concurrency >= max(work.running, work.due)


@laws
@given(works, rates, supplies, st.integers(0, 500))
def test_a_bound_on_pods_for_what_may_come_leaves_those_for_what_is_there(
    work: Work, known: Rates, supply: Supply, bound: int
) -> None:
    policy = PoolPolicy(concurrency=supply.concurrency, min_replicas=0, max_replicas=10_000)
    bounded = demand(work, rates=known, supply=supply, policy=policy, most_for_arrivals=bound).backlog
    silent = replace(known, recent_arrivals_per_second=0.0)

    assert demand(work, rates=silent, supply=supply, policy=policy).backlog <= bounded
    assert bounded <= demand(work, rates=known, supply=supply, policy=policy).backlog


def test_a_queue_that_no_task_is_expected_to_meet_is_not_shortened() -> None:
    """Both tasks start in time, one after the other, in the pod that is on its way; a third one is not expected."""
    known = Rates(
        arrivals_per_second=8 / 3600, recent_arrivals_per_second=8 / 3600, service_seconds=16, cold_start_seconds=30
    )

    assert 1 == replicas(Work(waiting=2, running=0), known, Supply(concurrency=1, ready=0, ready_in_seconds=(24.0,)))


def test_a_task_that_is_hardly_to_be_expected_starts_no_pod() -> None:
    """One task waits and 8 an hour come: one in nine times a second one within the minute that is planned for."""
    known = Rates(
        arrivals_per_second=8 / 3600, recent_arrivals_per_second=8 / 3600, service_seconds=36, cold_start_seconds=30
    )

    assert 1 == replicas(Work(waiting=1, running=0), known, Supply(concurrency=1, ready=0, ready_in_seconds=()))
