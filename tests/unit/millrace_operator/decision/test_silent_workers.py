"""Workers that answer no command, do not say what they hold, or are not heard at all."""

from itertools import pairwise

from drain_world import World

from millrace_operator.api.worker_pool import Mode, PoolPolicy
from millrace_operator.decision.drain_memory import RemovedState

POLICY = PoolPolicy(
    concurrency=1, min_replicas=0, max_replicas=50, idle_seconds=20.0, drain_timeout_seconds=60.0, mode=Mode.AUTO
)


def world(*, pods: int, answers: bool = True) -> World:
    return World(pods=pods, policy=POLICY, answers=answers)


def reasons(pool: World) -> list[str]:
    return [news.reason for plan in pool.plans for news in plan.news]


def test_workers_that_do_not_answer_are_left_alone_and_named() -> None:
    pool = world(pods=2)
    for pod in pool.pods.values():
        pod.answers = False
        pool.run_task(pod.name, seconds=30)

    pool.steps(1, seconds=60)

    assert "WorkersDoNotAnswer" in reasons(pool)
    assert [] == pool.interrupted


def test_a_worker_that_stays_silent_is_told_ever_more_rarely() -> None:
    pool = world(pods=1, answers=False)
    pool.run_task("pod-1", seconds=500)

    pool.steps(0, seconds=400)

    told = [second for second, plan in enumerate(pool.plans) if plan.rearm]
    pauses = [later - earlier for earlier, later in pairwise(told)]
    assert [3, 3, 3, 6, 12, 24, 48] == pauses[:7]


def test_an_idle_pool_whose_workers_answer_nothing_is_lowered_when_its_queue_was_quiet_for_the_idle_time() -> None:
    """Celery apps may run without remote control."""
    pool = world(pods=3, answers=False)
    pool.run_task("pod-1", seconds=40)

    pool.steps(1, seconds=45)
    assert 3 == pool.asked
    assert "no worker answers, so the queue must be empty for 20 s first" == pool.plan.holds
    pool.steps(1, seconds=20)

    assert 1 == pool.asked
    assert [] == pool.interrupted


def test_a_victim_that_holds_what_no_heartbeat_counts_stays_and_the_others_do_not_wait_for_it() -> None:
    pool = world(pods=4)
    pool.pods["pod-4"].holds_unseen = True

    pool.steps(1, seconds=15)
    assert ["pod-2", "pod-3"] == sorted(pool.removed)
    pool.pods["pod-4"].holds_unseen = False
    pool.steps(1, seconds=5)

    assert ["pod-2", "pod-3", "pod-4"] == sorted(pool.removed)


def test_a_victim_that_does_not_answer_what_it_holds_goes_back_to_work_and_is_named() -> None:
    pool = world(pods=2)
    pool.step(1)
    pool.pods["pod-2"].answers = False

    pool.steps(1, seconds=12)
    assert "WorkersDoNotAnswer" in reasons(pool)
    pool.pods["pod-2"].answers = True
    pool.steps(1, seconds=12)

    assert ["pod-1"] == pool.removed
    assert {"pod-2"} == pool.consuming


def test_a_pool_without_heartbeats_is_lowered_only_when_its_queue_was_quiet_for_the_idle_time() -> None:
    pool = world(pods=3)
    pool.workers = dict  # type: ignore[method-assign]  # nobody is heard
    pool.run_task("pod-1", seconds=5)

    pool.steps(1, seconds=20)
    assert 3 == pool.asked
    assert "no worker is heard, so the queue must be empty for 20 s first" == pool.plan.holds
    pool.steps(1, seconds=10)

    assert 1 == pool.asked
    assert [{RemovedState.IDLE: 2}] == [plan.removed for plan in pool.plans if plan.removed]
