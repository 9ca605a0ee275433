"""Only pods that hold nothing are removed; each rule with a pool, its queue and Kubernetes' own order of removal."""

from dataclasses import replace

from drain_world import World

from millrace_operator.api.worker_pool import Mode, PoolPolicy
from millrace_operator.decision.drain import plan_drain
from millrace_operator.decision.drain_memory import DrainEnd, DrainMemory, RemovedState
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import QueueReading

POLICY = PoolPolicy(
    concurrency=1, min_replicas=0, max_replicas=50, idle_seconds=20.0, drain_timeout_seconds=60.0, mode=Mode.AUTO
)


def world(*, pods: int, policy: PoolPolicy = POLICY, task_seconds: float = 10.0) -> World:
    return World(pods=pods, policy=policy, task_seconds=task_seconds)


def reasons(pool: World) -> list[str]:
    return [news.reason for plan in pool.plans for news in plan.news]


def removed_by_state(pool: World) -> dict[RemovedState, int]:
    counts: dict[RemovedState, int] = {}
    for plan in pool.plans:
        for state, number in plan.removed.items():
            counts[state] = counts.get(state, 0) + number
    return counts


def ended(pool: World) -> dict[DrainEnd, int]:
    counts: dict[DrainEnd, int] = {}
    for plan in pool.plans:
        for end, number in plan.ended.items():
            counts[end] = counts.get(end, 0) + number
    return counts


def test_idle_pods_go_and_busy_ones_stay() -> None:
    pool = world(pods=6)
    pool.run_task("pod-1", seconds=60)
    pool.run_task("pod-5", seconds=60)

    pool.steps(2, seconds=10)

    assert {"pod-1", "pod-5"} == set(pool.pods)
    assert [] == pool.interrupted
    assert {RemovedState.IDLE: 4} == removed_by_state(pool)
    assert {DrainEnd.REMOVED: 4} == ended(pool)


def test_a_victim_takes_no_more_tasks_before_replicas_are_lowered() -> None:
    pool = world(pods=3)

    plan = pool.step(1)

    assert {"pod-2", "pod-3"} == {target.pod.name for target in plan.cancel}
    assert {"pod-1"} == pool.consuming
    assert plan.removal is None
    assert 3 == pool.asked


def test_a_victim_goes_only_after_two_heartbeats_of_after_its_cancel() -> None:
    pool = world(pods=2)
    pool.step(1)
    told_at = pool.now
    beats = {pool.workers()["worker@pod-2"].heard_at}
    while pool.step(1, seconds=0.25).removal is None:
        assert pool.now < told_at + 10
        beats.add(pool.workers()["worker@pod-2"].heard_at)

    assert 2 <= len([beat for beat in beats if beat > told_at])
    assert pool.now <= told_at + 5


def test_the_deletion_cost_of_victims_is_below_that_of_every_other_pod() -> None:
    pool = world(pods=3)
    pool.pods["pod-1"].deletion_cost = -500

    pool.steps(2, seconds=10)

    assert ["pod-3"] == pool.removed


def test_a_task_that_reached_a_victim_just_before_the_cancel_is_finished_first() -> None:
    pool = world(pods=2)
    pool.pods["pod-2"].ends.append(pool.now + 20)

    pool.steps(1, seconds=4)
    assert 2 == pool.asked
    # The other pod is idle, so it goes instead.
    pool.steps(1, seconds=12)

    assert ["pod-1"] == pool.removed
    assert [] == pool.interrupted
    assert pool.consuming == {"pod-2"}


def test_nobody_is_cancelled_at_once_when_every_pod_works() -> None:
    pool = world(pods=2)
    for name in pool.pods:
        pool.run_task(name, seconds=30)

    pool.steps(1, seconds=10)

    assert set() == pool.draining
    assert "only idle pods go: 2 pods at work" == pool.plan.holds


def test_busy_pods_are_emptied_when_none_is_idle_for_long() -> None:
    pool = world(pods=3, policy=replace(POLICY, concurrency=4))
    for name in pool.pods:
        pool.run_task(name, seconds=40)

    pool.steps(1, seconds=20)
    assert 2 == len(pool.draining)
    pool.steps(1, seconds=35)

    assert 1 == len(pool.pods)
    assert [] == pool.interrupted


def test_new_load_takes_back_as_many_as_it_needs_the_latest_first() -> None:
    pool = world(pods=4)
    pool.step(3)
    pool.step(1)
    assert {"pod-2", "pod-3", "pod-4"} == pool.draining

    pool.step(3)

    assert {"pod-4"} == pool.draining
    assert {"pod-1", "pod-2", "pod-3"} == pool.consuming
    assert "DrainEnded" in reasons(pool)
    assert {DrainEnd.REARMED: 2} == ended(pool)


def test_a_pod_that_was_taken_back_is_no_victim_for_its_stale_annotation() -> None:
    pool = world(pods=2)
    pool.step(1)
    pool.step(2)
    pool.pods["pod-2"].draining_since = pool.now - 2  # the watch is late

    pool.step(2)

    assert () == pool.plan.rearm
    assert {"pod-1", "pod-2"} == pool.consuming


def test_an_operator_that_was_restarted_goes_on_with_the_drain() -> None:
    pool = world(pods=3)
    pool.steps(1, seconds=2)
    pool.memory = None

    pool.steps(1, seconds=10)

    assert {"pod-1"} == set(pool.pods)
    assert [] == pool.interrupted


def test_an_operator_that_was_restarted_takes_victims_back_when_they_are_needed() -> None:
    pool = world(pods=3)
    pool.steps(1, seconds=2)
    pool.memory = None

    pool.step(3)

    assert set() == pool.draining
    assert {"pod-1", "pod-2", "pod-3"} == pool.consuming


def test_a_victim_whose_worker_is_not_heard_yet_keeps_its_mark_until_it_can_be_told() -> None:
    pool = world(pods=2)
    pool.step(1)
    pool.memory = None
    beat, pool.pods["pod-2"].beat = pool.pods["pod-2"].beat, None

    assert () == pool.step(2, seconds=0.25).rearm
    assert {"pod-2"} == pool.draining
    pool.pods["pod-2"].beat = beat
    pool.steps(2, seconds=4)

    assert {"pod-1", "pod-2"} == pool.consuming


def test_an_unreadable_queue_lowers_nothing_and_leaves_drains_as_they_are() -> None:
    pool = world(pods=3)
    pool.step(1)
    pool.is_blind = True

    pool.steps(3, seconds=20)
    assert 3 == pool.asked
    assert {"pod-2", "pod-3"} == pool.draining
    pool.is_blind = False
    pool.steps(1, seconds=10)

    assert 1 == pool.asked


def test_a_zero_of_consumers_is_no_proof_while_workers_are_heard() -> None:
    pool = world(pods=2)
    pool.steps(1, seconds=3)
    leaderless = QueueReading(read_at=pool.now, ready=0, unacked=0, consumers=0)
    pool.reading = lambda: leaderless  # type: ignore[method-assign]  # a fault

    pool.steps(1, seconds=10)

    assert 2 == pool.asked


def test_consumers_that_do_not_belong_to_the_pool_are_no_obstacle() -> None:
    pool = world(pods=2)
    own = pool.reading

    def with_two_foreign_consumers() -> QueueReading:
        reading = own()
        assert isinstance(reading, QueueReading)
        assert reading.consumers is not None
        return replace(reading, consumers=reading.consumers + 2)

    pool.reading = with_two_foreign_consumers  # type: ignore[method-assign]  # a fault

    pool.steps(1, seconds=10)

    assert 1 == pool.asked


def test_pods_that_kubernetes_is_about_to_take_are_not_sent_back_to_work() -> None:
    pool = world(pods=2)
    pool.pods["pod-2"].draining_since, pool.pods["pod-2"].consumes = pool.now - 5, False
    pool.kubernetes_acts = lambda: None  # type: ignore[method-assign]  # Kubernetes has not acted yet
    pool.asked = 1

    plan = pool.step(1)

    assert () == plan.rearm


def test_pods_that_kubernetes_does_not_make_are_given_up_without_a_victim() -> None:
    """A quota is full: four of five have been missing for longer than any pod takes to appear."""
    state, memory = PoolState(asked=5), DrainMemory(missing_since=1.0)
    only = Pod(name="a", uid="a", created_at=0.0, is_ready=True)
    reading = QueueReading(read_at=12.0, ready=0, unacked=1, consumers=1)

    plan, _ = plan_drain(
        desired=1, state=state, pods=(only,), workers={}, reading=reading, policy=POLICY, memory=memory, now=12.0
    )

    assert plan.removal is not None
    assert 1 == plan.removal.replicas
    assert () == plan.mark


def test_a_worker_at_work_that_is_not_ready_blocks_the_removal_of_ready_pods() -> None:
    pool = world(pods=3)
    pool.run_task("pod-1", seconds=30)
    pool.steps(2, seconds=2)
    pool.pods["pod-1"].ready_at = pool.now + 15

    pool.steps(2, seconds=14)
    assert 3 == pool.asked
    pool.steps(2, seconds=10)

    assert 2 == pool.asked
    assert "pod-1" in pool.pods


def test_nothing_is_removed_while_the_deployment_rolls_out() -> None:
    pool = world(pods=2)
    seen = {"pods": tuple(pod.seen(pool.now) for pod in pool.pods.values()), "workers": pool.workers()}
    plan, _ = plan_drain(
        desired=1,
        state=PoolState(asked=2, is_rolling_out=True),
        reading=pool.reading(),
        policy=POLICY,
        memory=None,
        now=pool.now,
        **seen,  # type: ignore[arg-type]  # two arguments as a table
    )

    assert () == plan.cancel
    assert plan.removal is None


def test_a_pool_that_is_paused_gives_its_victims_back() -> None:
    pool = world(pods=3)
    pool.step(1)
    pool.policy = replace(POLICY, mode=Mode.PAUSED)

    pool.step(1)

    assert {"pod-1", "pod-2", "pod-3"} == pool.consuming
    assert 3 == pool.asked


def test_a_drain_that_takes_too_long_ends_and_others_are_tried() -> None:
    pool = world(pods=2, policy=replace(POLICY, concurrency=2, drain_timeout_seconds=20))
    pool.run_task("pod-1", seconds=500)
    pool.run_task("pod-2", seconds=500)

    pool.steps(1, seconds=40)
    assert set() == pool.draining
    pool.steps(1, seconds=15)

    assert DrainEnd.TIMED_OUT in ended(pool)
    assert "DrainTimedOut" in reasons(pool)
    assert {"pod-1"} == pool.draining


def test_a_container_that_restarted_is_cancelled_again() -> None:
    pool = world(pods=2)
    pool.step(1)
    pod = pool.pods["pod-2"]
    pod.consumes, pod.beat = True, None
    pool.pass_time(2)

    plan = pool.step(1)

    assert ("worker@pod-2",) == plan.cancel[0].nodes


def test_kubernetes_taking_another_pod_is_seen_and_told() -> None:
    pool = world(pods=3)
    pool.steps(2, seconds=3)
    pool.pods["pod-1"].deletion_cost = -9999  # somebody wrote it after our look

    pool.order_of_removal = lambda pod: (True, True, 0 if pod.name == "pod-1" else 1, 0.0)  # type: ignore[method-assign]  # a fault
    pool.steps(2, seconds=4)

    assert ["pod-1"] == pool.removed
    assert {RemovedState.OTHER: 1} == removed_by_state(pool)
    assert "OtherPodRemoved" in reasons(pool)
    assert {"pod-2", "pod-3"} == pool.consuming
