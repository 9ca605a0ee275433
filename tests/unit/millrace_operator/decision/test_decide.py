"""The law, as a table of situations."""

import pytest

from millrace_operator.api.worker_pool import Fallback, Mode, PoolPolicy
from millrace_operator.decision.decide import Memory, decide
from millrace_operator.model.decision import Reason, ScalingDecision
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown

IDLE_SECONDS = 60.0
BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="RabbitMQ is unreachable at rabbitmq:5672")


def policy(**changes: object) -> PoolPolicy:
    asked: dict[str, object] = {"concurrency": 8, "min_replicas": 0, "max_replicas": 20, "idle_seconds": IDLE_SECONDS}
    return PoolPolicy(**(asked | changes))  # type: ignore[arg-type]  # a table of changes


def queue(ready: int = 0, unacked: int = 0) -> QueueReading:
    return QueueReading(ready=ready, unacked=unacked, consumers=0)


def first_decision(asked: int, reading: Reading, **changes: object) -> ScalingDecision:
    state = PoolState(asked=asked)
    return decide(policy=policy(**changes), state=state, reading=reading, memory=None, now=0.0)[0]


class Timeline:
    """A pool whose Deployment always has what was decided."""

    def __init__(self, *, replicas: int = 0, **changes: object) -> None:
        self.policy = policy(**changes)
        self.replicas = replicas
        self.memory: Memory | None = None

    def at(self, now: float, reading: Reading) -> ScalingDecision:
        """Decide at one moment and make it true."""
        decision, self.memory = decide(
            policy=self.policy, state=PoolState(asked=self.replicas), reading=reading, memory=self.memory, now=now
        )
        if decision.is_binding:
            self.replicas = decision.replicas
        return decision


def test_a_burst_is_answered_in_one_step_with_the_numbers_behind_it() -> None:
    decision = first_decision(3, queue(ready=96, unacked=2))

    assert decision == ScalingDecision(
        replicas=13,
        reason=Reason.BACKLOG_TO_DRAIN,
        message="13 replicas: 96 tasks wait and 2 run, 8 slots a pod. Was 3.",
    )


def test_the_first_task_wakes_a_sleeping_pool() -> None:
    assert first_decision(0, queue(ready=1)).message == "1 replica: 1 task waits and 0 run, 8 slots a pod. Was 0."


def test_more_work_than_the_maximum_allows_is_said() -> None:
    decision = first_decision(20, queue(ready=1000), concurrency=1)

    assert (decision.replicas, decision.reason) == (20, Reason.AT_MAXIMUM)
    assert decision.message == (
        "20 replicas: 1,000 tasks wait and 0 run, 1 slot a pod; 1,000 would have work, maxReplicas is 20."
    )


def test_a_lowered_maximum_lowers_the_replicas_at_once() -> None:
    decision = first_decision(10, queue(ready=8), max_replicas=5)

    assert (decision.replicas, decision.reason) == (5, Reason.AT_MAXIMUM)


def test_without_work_a_pool_rests_at_its_minimum() -> None:
    decision = first_decision(2, queue(), min_replicas=2)

    assert decision.message == "2 replicas: no task waits or runs; minReplicas is 2."
    assert decision.reason == Reason.AT_MINIMUM


def test_replicas_go_only_after_fewer_were_enough_for_the_idle_time() -> None:
    pool = Timeline()
    pool.at(0, queue(ready=80))

    assert pool.at(1, queue()).reason == Reason.WAITING_FOR_IDLE
    assert pool.at(59, queue(unacked=9)).replicas == 10
    assert pool.at(61, queue()).replicas == 2, "the highest demand of the last 60 s was 9 tasks"
    assert pool.at(118, queue()).replicas == 2
    gone = pool.at(120, queue())
    assert (gone.replicas, gone.reason) == (0, Reason.IDLE_SCALE_DOWN)
    assert gone.message == "0 replicas: no task has waited or run for 60 s. Was 2."


def test_new_work_during_the_idle_time_begins_it_anew() -> None:
    pool = Timeline()
    pool.at(0, queue(ready=8))
    pool.at(50, queue(ready=8))

    assert pool.at(100, queue()).replicas == 1
    assert pool.at(111, queue()).replicas == 0


def test_an_idle_time_below_the_age_of_the_gauges_is_lengthened() -> None:
    pool = Timeline(idle_seconds=1)
    pool.at(0, queue(ready=8))

    assert pool.at(5, queue()).replicas == 1, "the 8 tasks may run and not be counted as unacked yet"
    assert pool.at(7, queue()).replicas == 0


def test_after_a_restart_the_pool_is_held_for_the_idle_time() -> None:
    pool = Timeline(replicas=7)

    assert pool.at(0, queue()).replicas == 7
    assert pool.at(60, queue()).replicas == 7
    assert pool.at(61, queue()).replicas == 0


def test_after_a_restart_the_pool_may_grow_at_once() -> None:
    assert first_decision(2, queue(ready=80)).replicas == 10


def test_what_is_unknown_scales_nothing_down() -> None:
    decision = first_decision(7, BLIND)

    assert (decision.replicas, decision.reason) == (7, Reason.METRICS_UNAVAILABLE)
    assert decision.message == (
        "7 replicas: RabbitMQ is unreachable at rabbitmq:5672; "
        "what is unknown scales nothing down, so the pool is held until it can be read."
    )


def test_after_an_outage_the_idle_time_begins_anew() -> None:
    pool = Timeline(replicas=7)
    pool.at(0, queue())
    pool.at(59, BLIND)

    assert pool.at(61, queue()).replicas == 7
    assert pool.at(120, queue()).replicas == 0


def test_the_fallback_raises_the_replicas_after_enough_failures() -> None:
    pool = Timeline(replicas=1, fallback=Fallback(failure_threshold=3, replicas=4))

    assert [1, 1, 4, 4] == [pool.at(second, BLIND).replicas for second in range(4)]
    assert pool.at(4, BLIND).reason == Reason.FALLBACK_REPLICAS


def test_the_fallback_never_lowers_the_replicas() -> None:
    pool = Timeline(replicas=9, fallback=Fallback(failure_threshold=1, replicas=4))

    assert pool.at(0, BLIND).replicas == 9


def test_failures_count_only_in_a_row() -> None:
    pool = Timeline(replicas=1, fallback=Fallback(failure_threshold=2, replicas=4))
    pool.at(0, BLIND)
    pool.at(1, queue(ready=1))

    assert pool.at(2, BLIND).replicas == 1


def test_a_paused_pool_is_left_as_it_is() -> None:
    decision = first_decision(3, queue(ready=80), mode=Mode.PAUSED)

    assert decision == ScalingDecision(
        replicas=3,
        reason=Reason.PAUSED,
        message="3 replicas: the pool is paused (spec.mode). Unpaused it would be 10.",
        is_binding=False,
    )


def test_an_advisory_pool_says_what_it_would_do() -> None:
    decision = first_decision(3, queue(ready=80), mode=Mode.ADVISORY)

    assert (decision.replicas, decision.reason, decision.is_binding) == (10, Reason.BACKLOG_TO_DRAIN, False)
    assert decision.message.startswith("Advisory only, nothing is written. 10 replicas: 80 tasks wait")


@pytest.mark.parametrize(
    ("ready", "unacked", "reason"),
    [
        pytest.param(1, 7, Reason.BACKLOG_TO_DRAIN, id="something waits"),
        pytest.param(0, 8, Reason.WORK_IN_PROGRESS, id="nothing waits and something runs"),
        pytest.param(0, 0, Reason.WAITING_FOR_IDLE, id="nothing is there, for a short time"),
    ],
)
def test_the_reason_tells_waiting_from_running(ready: int, unacked: int, reason: Reason) -> None:
    assert reason == first_decision(1, queue(ready=ready, unacked=unacked)).reason
