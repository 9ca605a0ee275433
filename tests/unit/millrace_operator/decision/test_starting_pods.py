"""Pods that start are waited for: nobody can tell them yet to take no task, and they may not hear SIGTERM."""

import pytest
from drain_world import World

from millrace_operator.api.worker_pool import Mode, PoolPolicy
from millrace_operator.decision.drain import plan_drain
from millrace_operator.decision.drain_memory import DrainMemory, Quiet, RemovedState, Victim
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import QueueReading
from millrace_operator.model.worker import Worker

POLICY = PoolPolicy(
    concurrency=1, min_replicas=0, max_replicas=50, idle_seconds=20.0, drain_timeout_seconds=60.0, mode=Mode.AUTO
)


def world(*, pods: int) -> World:
    return World(pods=pods, policy=POLICY)


def test_a_pod_that_starts_is_drained_once_its_worker_can_be_told() -> None:
    pool = world(pods=2)
    pool.step(4, seconds=0.25)

    plan = pool.step(2, seconds=1)
    assert () == plan.mark
    assert "2 pods still starting" in pool.step(2, seconds=1).holds
    pool.steps(2, seconds=10)

    assert 2 == pool.asked
    assert [] == pool.interrupted


def test_pods_that_were_asked_for_and_are_not_seen_yet_are_waited_for() -> None:
    pool = world(pods=2)
    pool.watch_delay_seconds = 1.5
    pool.step(4, seconds=0.25)

    assert "2 pods asked for must first be there" == pool.step(2).holds
    pool.steps(2, seconds=15)

    assert 2 == pool.asked
    assert [] == pool.interrupted


def test_no_pod_is_removed_while_kubernetes_makes_others() -> None:
    """It would take one of those that start, which the operator does not see yet."""
    pool = world(pods=3)
    pool.steps(2, seconds=3)
    assert 1 == len(pool.draining)
    pool.watch_delay_seconds = 1.5
    pool.asked = 6
    pool.kubernetes_acts()

    pool.steps(5, seconds=1)

    assert 6 == pool.asked


@pytest.mark.parametrize(("ready_for_seconds", "removed"), [(1.0, set()), (3.0, {"drained"})])
def test_no_pod_is_removed_before_kubernetes_can_know_that_the_last_one_is_ready(
    ready_for_seconds: float, removed: set[str]
) -> None:
    now = 100.0
    quiet = Quiet(heard_at=98.0, processed=0, is_confirmed=True)
    victim = Victim(uid="drained", pod="drained", since=90.0, cancel_sent_at=90.0, cancelled_at=90.0, quiet=quiet)
    beat = Worker(node="worker@drained", active=0, processed=0, heard_at=99.0, first_heard_at=10.0)

    plan, _ = plan_drain(
        desired=1,
        state=PoolState(asked=2),
        pods=(
            Pod(name="drained", uid="drained", created_at=5.0, is_ready=True, ready_since=6.0, draining_since=90.0),
            Pod(name="new", uid="new", created_at=95.0, is_ready=True, ready_since=now - ready_for_seconds),
        ),
        workers={beat.node: beat},
        reading=QueueReading(read_at=now, ready=1, unacked=0, consumers=0),
        policy=POLICY,
        memory=DrainMemory(victims={"drained": victim}),
        now=now,
    )

    assert removed == {pod.name for pod in plan.mark}


def test_a_pool_whose_first_pods_start_says_what_it_waits_for() -> None:
    pool = world(pods=0)
    pool.step(3)

    assert "only idle pods go: 3 pods still starting" == pool.step(0).holds


def test_pods_that_work_or_could_go_on_while_enough_others_start() -> None:
    pool = world(pods=2)
    pool.start_seconds = 40
    pool.run_task("pod-1", seconds=60)
    pool.step(4)

    pool.steps(2, seconds=35)

    assert {"pod-1", "pod-2"} == pool.consuming
    assert set() == pool.draining


def test_no_ready_pod_goes_while_kubernetes_would_take_one_that_starts_in_its_place() -> None:
    pool = world(pods=3)
    pool.start_seconds = 30
    pool.step(4, seconds=0.25)

    pool.steps(1, seconds=25)
    assert 4 == pool.asked
    pool.steps(1, seconds=15)

    assert 1 == pool.asked
    assert [] == pool.interrupted


def test_pods_that_cannot_start_go_first_and_need_no_drain() -> None:
    pool = world(pods=2)
    pool.step(4, seconds=0.25)
    pool.pods["pod-3"].cannot_start = True
    pool.pods["pod-4"].is_unschedulable = True

    plan = pool.step(2, seconds=1)

    assert {"pod-3", "pod-4"} == {pod.name for pod in plan.mark}
    assert set() == {target.pod.name for target in plan.cancel}
    assert {RemovedState.STARTING: 2} == pool.step(2).removed


def test_a_pod_that_fails_again_and_again_is_no_reason_to_lose_one_that_starts() -> None:
    starts = Pod(name="starts", uid="starts", created_at=0.0, is_pending=True)
    fails = Pod(name="fails", uid="fails", created_at=0.0, is_stuck=True)
    reading = QueueReading(read_at=9.0, ready=0, unacked=0, consumers=0)

    plan, _ = plan_drain(
        desired=1,
        state=PoolState(asked=2),
        pods=(starts, fails),
        workers={},
        reading=reading,
        policy=POLICY,
        memory=None,
        now=9.0,
    )

    # Kubernetes takes pending pods before running ones.
    assert plan.removal is None


def test_a_pod_that_starts_for_longer_than_a_drain_may_take_goes_if_no_task_waits() -> None:
    pool = world(pods=1)
    pool.start_seconds = 1000
    pool.step(2)

    pool.steps(1, seconds=58)
    assert 2 == pool.asked
    pool.steps(1, seconds=4)

    assert 1 == pool.asked


def test_a_pod_that_starts_for_too_long_stays_while_tasks_wait_for_it() -> None:
    pool = world(pods=1)
    pool.run_task("pod-1", seconds=100)
    pool.start_seconds = 1000
    pool.waiting = 1
    pool.step(2)

    pool.steps(1, seconds=70)

    assert 2 == pool.asked
