"""The law: demand, then bounds, then stabilisation; and what holds when nothing is known.

An absolute formula of the tasks that are there. The current replicas enter in two cases only: when the queue cannot be
read, and as the one thing known after a start. In both they count as demand of that moment, so nothing is lowered until
fewer were seen to be enough for the idle time.
"""

from dataclasses import dataclass, replace

from millrace_operator.api.worker_pool import Mode, PoolPolicy
from millrace_operator.decision.bounds import within_bounds
from millrace_operator.decision.demand import replicas_for_tasks
from millrace_operator.decision.sentences import count, sentence_for_reading, sentence_for_unknown
from millrace_operator.decision.stabilisation import Staircase, Step, forget_before, remember, window_seconds
from millrace_operator.model.decision import Reason, ScalingDecision
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import QueueReading, Reading, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a pool's next decision must know of those before it. A pool without history has None."""

    stairs: Staircase
    failures: int = 0
    """Passes in a row in which the queue could not be read."""


def decide(
    *, policy: PoolPolicy, state: PoolState, reading: Reading, memory: Memory | None, now: float
) -> tuple[ScalingDecision, Memory]:
    """Decide how many replicas a pool is to have; the same arguments always give the same answer."""
    memory = memory or Memory(stairs=(Step(now, state.asked),))
    if isinstance(reading, Unknown):
        decision, memory = _decide_blind(policy, state, reading, memory, now)
    else:
        decision, memory = _decide_seeing(policy, state, reading, memory, now)
    if policy.mode is Mode.PAUSED:
        held = count(state.asked, "replica")
        message = f"{held}: the pool is paused (spec.mode). Unpaused it would be {decision.replicas:,}."
        return ScalingDecision(replicas=state.asked, reason=Reason.PAUSED, message=message, is_binding=False), memory
    if policy.mode is Mode.ADVISORY:
        message = f"Advisory only, nothing is written. {decision.message}"
        return replace(decision, message=message, is_binding=False), memory
    return decision, memory


def _decide_seeing(
    policy: PoolPolicy, state: PoolState, reading: QueueReading, memory: Memory, now: float
) -> tuple[ScalingDecision, Memory]:
    demand = replicas_for_tasks(reading.tasks, concurrency=policy.concurrency)
    # Bounded before it is remembered, so that a demand beyond maxReplicas does not hold after maxReplicas was raised.
    needed = within_bounds(demand, policy)
    stairs = remember(forget_before(memory.stairs, now - window_seconds(policy.idle_seconds)), Step(now, needed))
    replicas = within_bounds(stairs[0].replicas, policy)
    reason = _reason(policy=policy, asked=state.asked, reading=reading, demand=demand, needed=needed, replicas=replicas)
    message = sentence_for_reading(
        reason=reason, policy=policy, reading=reading, was=state.asked, demand=demand, needed=needed, replicas=replicas
    )
    return ScalingDecision(replicas=replicas, reason=reason, message=message), Memory(stairs=stairs)


def _reason(
    *, policy: PoolPolicy, asked: int, reading: QueueReading, demand: int, needed: int, replicas: int
) -> Reason:
    if demand > policy.max_replicas or asked > policy.max_replicas == replicas:
        return Reason.AT_MAXIMUM
    if replicas > needed:
        return Reason.WAITING_FOR_IDLE
    if replicas < asked:
        return Reason.IDLE_SCALE_DOWN
    if demand <= policy.min_replicas:
        return Reason.AT_MINIMUM
    return Reason.BACKLOG_TO_DRAIN if reading.ready else Reason.WORK_IN_PROGRESS


def _decide_blind(
    policy: PoolPolicy, state: PoolState, unknown: Unknown, memory: Memory, now: float
) -> tuple[ScalingDecision, Memory]:
    failures = memory.failures + 1
    held = max(state.asked, policy.min_replicas)
    fallback = policy.fallback
    is_fallback = fallback is not None and failures >= fallback.failure_threshold and fallback.replicas >= held
    replicas = fallback.replicas if fallback is not None and is_fallback else held
    stairs = remember(forget_before(memory.stairs, now - window_seconds(policy.idle_seconds)), Step(now, replicas))
    reason = Reason.FALLBACK_REPLICAS if is_fallback else Reason.METRICS_UNAVAILABLE
    message = sentence_for_unknown(
        reason=reason, unknown=unknown, replicas=replicas, was=state.asked, failures=failures
    )
    decision = ScalingDecision(replicas=replicas, reason=reason, message=message)
    return decision, Memory(stairs=stairs, failures=failures)
