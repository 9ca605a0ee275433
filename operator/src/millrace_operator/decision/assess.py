"""The law: from what is seen of a pool to what it wants. Pure, and never dependent on its own last answer.

The replicas that exist enter as supply, because pods on their way need not be asked for twice, and as the one thing
that is known after a start of the operator.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision import demand as law
from millrace_operator.decision.assessment import Assessment
from millrace_operator.decision.beyond_record import factor_beyond_record
from millrace_operator.decision.bounds import within_bounds
from millrace_operator.decision.demand import Demand
from millrace_operator.decision.explanation import Found, explain, explain_unknown
from millrace_operator.decision.keep_alive import (
    Ladder,
    Prices,
    bursts_seen,
    climb,
    kept,
    prices,
    stay_seconds,
)
from millrace_operator.decision.memory import DEFAULT_COLD_START_SECONDS, REMEMBERED_STARTS, Memory
from millrace_operator.decision.schedules import floor_at
from millrace_operator.decision.sight import Sight, look
from millrace_operator.decision.stabilisation import Step, remember, stabilised
from millrace_operator.decision.staffing import miss_probability
from millrace_operator.decision.waits import waits_since
from millrace_operator.model.decision import Reason
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Reading, Unknown

DELAY_SHARE: Final = 0.1
"""Share of the cold start for which demand must stay lower before pods go: shorter dips would cost a start each."""
LEAST_DELAY_SECONDS: Final = 5.0
BLIND_HOLD_SECONDS: Final = 1.5
HOLD_AFTER_START_SECONDS: Final = 30.0
"""An operator that has just started lowers nothing before it has watched for this long."""


def assess(
    *,
    policy: PoolPolicy,
    state: PoolState,
    reading: Reading,
    outlook: Outlook = (),
    held_back: int = 0,
    inference: InferenceLoad | None = None,
    memory: Memory | None,
    now: float,
) -> tuple[Assessment, Memory]:
    """Say how many replicas a pool wants, and why; the same arguments always give the same answer."""
    memory = memory or Memory()
    if not memory.stairs:
        memory = replace(memory, stairs=(Step(now + HOLD_AFTER_START_SECONDS, state.asked),))
    if state.cold_starts_seconds:
        starts = (*memory.cold_starts, *state.cold_starts_seconds)[-REMEMBERED_STARTS:]
        memory = replace(memory, cold_starts=starts)
    if isinstance(reading, Unknown):
        return _held(policy, state, reading, memory, now)
    before = memory.history
    sight, memory = look(
        policy=policy,
        state=state,
        reading=reading,
        outlook=outlook,
        held_back=held_back,
        memory=memory,
        now=now,
    )
    assessment, memory = _wanted(
        sight,
        memory,
        waits=waits_since(before, memory.history),
        is_saturated=inference is not None and inference.is_saturated,
    )
    return assessment, memory


@dataclass(frozen=True, slots=True)
class _Terms:
    """What goes for pods that are not needed."""

    delay_seconds: float
    prices: Prices


def _wanted(
    sight: Sight, memory: Memory, *, waits: tuple[tuple[float, int], ...], is_saturated: bool
) -> tuple[Assessment, Memory]:
    policy, state, now = sight.policy, sight.state, sight.now
    terms = _terms(sight)
    standing = _standing(sight, memory, terms.prices)
    needs = _needs(sight, most_for_arrivals=standing if terms.prices.is_late else None)
    lead = sight.cold_start_seconds
    floor = floor_at(policy.schedules, moment=now, lead_seconds=lead) if policy.schedules else None
    demanded = max(needs.replicas, floor.replicas if floor else 0, _already_starting(sight))
    # Bounded before it is remembered, so that a demand beyond maxReplicas does not hold after maxReplicas was raised.
    needed = within_bounds(demanded, policy)
    delay = terms.delay_seconds
    memory = replace(
        memory,
        stairs=remember(memory.stairs, Step(now, needed), delay_seconds=delay),
        ladder=_climbed(sight, memory, _level(sight, needs, terms.prices, standing), terms.prices),
    )
    held = within_bounds(stabilised(memory.stairs, asked=state.asked, delay_seconds=delay, now=now), policy)
    staying = _kept_alive(sight, memory, terms.prices)
    wanted = max(held, staying)
    stay = stay_seconds(memory.ladder, 0, terms.prices) if policy.idle_seconds is None else policy.idle_seconds
    estimates = replace(sight.estimates, keep_alive_seconds=stay, miss_probability=_miss(sight, wanted))
    reason, why = explain(
        sight,
        Found(
            needs=needs,
            floor=floor,
            demanded=demanded,
            needed=needed,
            held=held,
            kept=staying,
            delay_seconds=delay,
            keep_alive_seconds=stay,
        ),
    )
    assessment = Assessment(
        wanted=wanted,
        reason=reason,
        why=why,
        estimates=estimates,
        waits=waits,
        is_inference_saturated=is_saturated,
    )
    return assessment, memory


def _terms(sight: Sight) -> _Terms:
    cold = sight.cold_start_seconds
    price = prices(cold_start_seconds=cold, objective=sight.policy.objective)
    return _Terms(_delay(sight.policy, cold), price)


def _delay(policy: PoolPolicy, cold_start_seconds: float) -> float:
    if policy.idle_seconds is not None:
        return policy.idle_seconds
    return max(LEAST_DELAY_SECONDS, DELAY_SHARE * cold_start_seconds)


def _needs(sight: Sight, *, most_for_arrivals: int | None) -> Demand:
    size, rates = (law.demand_of_first_tasks, sight.first_rates) if sight.rates is None else (law.demand, sight.rates)
    if rates is None:
        return law.slot_for_each_task(sight.work, concurrency=sight.policy.concurrency)
    return size(sight.work, rates=rates, supply=sight.supply, policy=sight.policy, most_for_arrivals=most_for_arrivals)


def _already_starting(sight: Sight) -> int:
    """Count the pods that are there or on their way while tasks wait: what was asked for them is not taken back."""
    return sight.supply.pods if sight.work.waiting and sight.supply.ready_in_seconds else 0


def _climbed(sight: Sight, memory: Memory, level: int, price: Prices) -> Ladder:
    # What is known beforehand finds its pods ready; none needs to stand by for it.
    if sight.now - memory.foresight.last_at <= law.ENVELOPE_SECONDS[-1]:
        return memory.ladder
    rate = sight.estimates.arrivals_per_second or 0.0
    return climb(memory.ladder, needed=level, prices=price, now=sight.now, arrivals_per_second=rate)


def _level(sight: Sight, needs: Demand, price: Prices, standing: int | None) -> int:
    """Count the pods that are needed now, for what is learned of how often they are.

    Before it is known how long a task takes those that are asked for, where starting them makes tasks late.
    """
    if not sight.work.waiting and not sight.work.running:
        return 0
    if standing is None:
        standing = needs.replicas if price.is_late else 0
    return min(max(1, standing), sight.policy.max_replicas)


def _standing(sight: Sight, memory: Memory, price: Prices) -> int | None:
    """Count the pods that would have kept every task of the last minutes within the objective, had they stood ready.

    Where starting them makes tasks late, as many as the next burst may need: few that were seen say little of it. 0
    where there is nothing to do, None before it is known how long a task takes.
    """
    if sight.rates is None:
        return None
    if not sight.work.waiting and not sight.work.running:
        return 0
    wait = sight.policy.objective.wait_seconds
    pods = law.standing_replicas(
        memory.history,
        service_seconds=sight.rates.service_seconds,
        wait_seconds=law.MARGIN * wait if price.is_late else wait,
        concurrency=sight.policy.concurrency,
    )
    if not price.is_late:
        return pods
    seen = bursts_seen(memory.ladder)
    return math.ceil(pods * factor_beyond_record(seen, exceeded_share=price.exceeded_share))


def _kept_alive(sight: Sight, memory: Memory, price: Prices) -> int:
    """Count the pods that are there and stay, because they may be needed again soon; none is started for it."""
    if sight.policy.idle_seconds is not None:
        return 0
    return min(kept(memory.ladder, prices=price, now=sight.now), sight.state.asked, sight.policy.max_replicas)


def _held(
    policy: PoolPolicy, state: PoolState, unknown: Unknown, memory: Memory, now: float
) -> tuple[Assessment, Memory]:
    failures = memory.failures + 1
    held = max(state.asked, policy.min_replicas)
    fallback = policy.fallback
    is_fallback = fallback is not None and failures >= fallback.failure_threshold and fallback.replicas >= held
    wanted = fallback.replicas if fallback is not None and is_fallback else held
    reason = Reason.FALLBACK_REPLICAS if is_fallback else Reason.METRICS_UNAVAILABLE
    why = explain_unknown(unknown, failures=failures, is_fallback=is_fallback)
    # What is held blindly is no demand: it lasts for a second reading, so that one false zero lowers nothing. A time
    # that the user gave begins anew.
    cold = memory.cold_start_seconds or DEFAULT_COLD_START_SECONDS
    is_learned = policy.idle_seconds is None
    held_until = now - _delay(policy, cold) + BLIND_HOLD_SECONDS if is_learned else now
    lasting = tuple(step for step in memory.stairs if step.at > now)
    memory = replace(memory, stairs=remember(lasting, Step(held_until, wanted), delay_seconds=0.0), failures=failures)
    return Assessment(wanted=wanted, reason=reason, why=why, is_known=False), memory


def _miss(sight: Sight, replicas: int) -> float | None:
    rates, policy = sight.rates, sight.policy
    if rates is None or not replicas:
        return None
    return miss_probability(
        slots=replicas * policy.concurrency,
        offered_load=rates.arrivals_per_second * rates.service_seconds,
        service_seconds=rates.service_seconds,
        wait_seconds=policy.objective.wait_seconds,
        variation=rates.service_variation,
    )
