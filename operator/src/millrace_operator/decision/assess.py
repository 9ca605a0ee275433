"""The law: from what is seen of a pool to what it wants. Pure, and never dependent on its own last answer.

The replicas that exist enter as supply, because pods on their way need not be asked for twice, and as the one thing that is
known after a start of the operator.
"""

from dataclasses import dataclass, replace
from typing import Final

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision import demand as law
from millrace_operator.decision.assessment import Assessment
from millrace_operator.decision.bounds import within_bounds
from millrace_operator.decision.demand import Demand, Rates, Work
from millrace_operator.decision.estimation import arrival_rate, service_seconds
from millrace_operator.decision.history import History, extend
from millrace_operator.decision.keep_alive import Prices, climb, kept, prices, stay_seconds
from millrace_operator.decision.known_future import MARGIN_SECONDS, look_ahead, tasks_due
from millrace_operator.decision.memory import DEFAULT_COLD_START_SECONDS, REMEMBERED_STARTS, Memory
from millrace_operator.decision.schedules import Floor, floor_at
from millrace_operator.decision.sentences import count, seconds, terms_in_words, work_in_words
from millrace_operator.decision.stabilisation import Step, remember, stabilised
from millrace_operator.decision.staffing import miss_probability
from millrace_operator.decision.supply import Supply, supply_of
from millrace_operator.decision.waits import oldest_wait, waits_since
from millrace_operator.model.decision import Reason
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import QueueReading, Reading, Unknown

DELAY_SHARE: Final = 0.25
LEAST_DELAY_SECONDS: Final = 5.0
HOLD_AFTER_START_SECONDS: Final = 30.0
"""An operator that has just started, or can see again, lowers nothing before it has watched for this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Everything that one look gives."""

    policy: PoolPolicy
    state: PoolState
    work: Work
    due_source: str
    rates: Rates | None
    cold_start_seconds: float
    """Measured, or assumed until it is."""
    supply: Supply
    estimates: Estimates
    memory: Memory
    now: float


def assess(
    *,
    policy: PoolPolicy,
    state: PoolState,
    reading: Reading,
    outlook: Outlook = (),
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
    seen = _look(policy, state, reading, outlook, memory, now)
    assessment, memory = _wanted(seen)
    return replace(
        assessment,
        waits=waits_since(before, memory.history),
        is_inference_saturated=inference is not None and inference.is_saturated,
    ), memory


def _look(
    policy: PoolPolicy, state: PoolState, reading: QueueReading, outlook: Outlook, memory: Memory, now: float
) -> _Seen:
    history = extend(memory.history, reading, service_seconds=memory.service_seconds)
    service = service_seconds(history) or memory.service_seconds
    cold = memory.cold_start_seconds
    assumed_cold = DEFAULT_COLD_START_SECONDS if cold is None else cold
    arrivals = arrival_rate(history, service_seconds=service)
    arrived = float(reading.arrivals_total) if reading.arrivals_total is not None else None
    due, due_source = tasks_due(
        memory.foresight, outlook, within_seconds=assumed_cold + MARGIN_SECONDS, now=now
    )
    memory = replace(
        memory,
        history=history,
        service_seconds=service,
        failures=0,
        foresight=look_ahead(memory.foresight, outlook, arrived=arrived, now=now),
    )
    rates = None
    if service is not None:
        rate, upper = arrivals or (0.0, 0.0)
        rates = Rates(
            arrivals_per_second=rate,
            arrivals_upper_per_second=upper,
            service_seconds=service,
            cold_start_seconds=assumed_cold,
        )
    price = prices(cold_start_seconds=assumed_cold, objective=policy.objective)
    supply = supply_of(state, concurrency=policy.concurrency, cold_start_seconds=assumed_cold, now=now)
    work = Work(waiting=reading.ready, running=reading.unacked, due=due)
    estimates = Estimates(
        arrivals_per_second=arrivals[0] if arrivals else None,
        arrivals_upper_per_second=arrivals[1] if arrivals else None,
        service_seconds=service,
        cold_start_seconds=cold,
        keep_alive_seconds=stay_seconds(memory.ladder, 0, price) if policy.idle_seconds is None else policy.idle_seconds,
        oldest_wait_seconds=oldest_wait(history, waiting=reading.ready),
        wait_seconds=_wait(work, service, supply),
    )
    return _Seen(
        policy=policy,
        state=state,
        work=work,
        due_source=due_source,
        rates=rates,
        cold_start_seconds=assumed_cold,
        supply=supply,
        estimates=estimates,
        memory=memory,
        now=now,
    )


def _wanted(seen: _Seen) -> tuple[Assessment, Memory]:
    policy, state, memory, now = seen.policy, seen.state, seen.memory, seen.now
    if seen.rates is None:
        needs = law.slot_for_each_task(seen.work, concurrency=policy.concurrency)
    else:
        needs = law.demand(seen.work, rates=seen.rates, supply=seen.supply, policy=policy)
    cold = seen.cold_start_seconds
    floor = floor_at(policy.schedules, moment=now, lead_seconds=cold) if policy.schedules else None
    demanded = max(needs.replicas, floor.replicas if floor else 0, _already_starting(seen))
    # Bounded before it is remembered, so that a demand beyond maxReplicas does not hold after maxReplicas was raised.
    needed = within_bounds(demanded, policy)
    delay = max(LEAST_DELAY_SECONDS, DELAY_SHARE * cold) if policy.idle_seconds is None else policy.idle_seconds
    stairs = remember(memory.stairs, Step(now, needed), delay_seconds=delay)
    held = within_bounds(stabilised(stairs, asked=state.asked, delay_seconds=delay, now=now), policy)
    price = prices(cold_start_seconds=cold, objective=policy.objective)
    memory = replace(memory, stairs=stairs)
    # What is known beforehand finds its pods ready; none needs to stand by for it.
    if now - memory.foresight.last_at > law.ENVELOPE_SECONDS[-1]:
        level = _level(seen, needs, price)
        memory = replace(memory, ladder=climb(memory.ladder, needed=level, prices=price, now=now))
    standing = _kept_alive(seen, memory, price)
    wanted = max(held, standing)
    reason = _reason(seen, needs=needs, floor=floor, demanded=demanded, needed=needed, held=held, kept=standing)
    why = _why(seen, reason=reason, demanded=demanded, needed=needed, floor=floor, delay=delay)
    estimates = replace(seen.estimates, miss_probability=_miss(seen, wanted))
    return Assessment(wanted=wanted, reason=reason, why=why, estimates=estimates), memory


def _reason(
    seen: _Seen, *, needs: Demand, floor: Floor | None, demanded: int, needed: int, held: int, kept: int
) -> Reason:
    policy, asked = seen.policy, seen.state.asked
    if demanded > policy.max_replicas or asked > policy.max_replicas == held:
        return Reason.AT_MAXIMUM
    if max(held, kept) < asked:
        return Reason.IDLE_SCALE_DOWN
    if kept > held:
        return Reason.KEEP_ALIVE
    if held > needed:
        return Reason.WAITING_FOR_IDLE
    if demanded <= policy.min_replicas:
        return Reason.AT_MINIMUM
    if floor is not None and floor.replicas == demanded:
        return Reason.SCHEDULED_FLOOR
    if needs.due == demanded:
        return Reason.KNOWN_TASKS_DUE
    if needs.steady == demanded > needs.backlog:
        return Reason.STEADY_LOAD
    return Reason.BACKLOG_TO_DRAIN if seen.work.waiting else Reason.WORK_IN_PROGRESS


def _why(
    seen: _Seen, *, reason: Reason, demanded: int, needed: int, floor: Floor | None, delay: float
) -> str:
    policy = seen.policy
    work = work_in_words(seen.work, seen.estimates, concurrency=policy.concurrency)
    terms = terms_in_words(policy.objective, seen.estimates)
    match reason:
        case Reason.AT_MAXIMUM if demanded > policy.max_replicas:
            return f"{work}; {demanded:,} would keep the objective, maxReplicas is {policy.max_replicas:,}"
        case Reason.AT_MAXIMUM:
            return f"{work}; maxReplicas is {policy.max_replicas:,}"
        case Reason.KEEP_ALIVE:
            stay = seconds(seen.estimates.keep_alive_seconds or 0.0)
            return f"{work}; an idle pod stays for {stay}, as gaps between tasks usually end before that"
        case Reason.WAITING_FOR_IDLE:
            return f"{work}; {needed:,} would do, and replicas go once fewer have been enough for {seconds(delay)}"
        case Reason.IDLE_SCALE_DOWN:
            return f"{work}; no more have been needed for {seconds(delay)}"
        case Reason.AT_MINIMUM if policy.min_replicas:
            return f"{work}; minReplicas is {policy.min_replicas:,}"
        case Reason.SCHEDULED_FLOOR if floor is not None:
            return f"{work}; schedule {floor.schedule.cron!r} asks for {floor.replicas:,} at least"
        case Reason.KNOWN_TASKS_DUE:
            come = "comes" if seen.work.due == 1 else "come"
            return f"{count(seen.work.due, 'task')} of {seen.due_source} {come} due, {terms}; {work}"
        case Reason.BACKLOG_TO_DRAIN | Reason.STEADY_LOAD:
            return f"{work}; {terms}"
        case _:
            return work


def _already_starting(seen: _Seen) -> int:
    """Count the pods that are there or on their way while tasks wait: what was asked for them is not taken back."""
    return seen.supply.pods if seen.work.waiting and seen.supply.ready_in_seconds else 0


def _level(seen: _Seen, needs: Demand, price: Prices) -> int:
    """Count the pods that are needed now, for what is learned of how often they are.

    Those that would have kept every task of the last minutes within the objective, had they stood ready. Where starting
    them makes tasks late, what is asked for in haste counts as well: it was missing.
    """
    tasks = seen.work.waiting + seen.work.running
    least = min(1, tasks)
    if seen.rates is None:
        return max(least, needs.replicas if price.is_late else 0)
    standing = law.standing_replicas(
        seen.memory.history,
        service_seconds=seen.rates.service_seconds,
        wait_seconds=(law.STANDING_MARGIN if price.is_late else 1.0) * seen.policy.objective.wait_seconds,
        concurrency=seen.policy.concurrency,
    )
    return min(max(least, standing), seen.policy.max_replicas)


def _kept_alive(seen: _Seen, memory: Memory, price: Prices) -> int:
    """Count the pods that are there and stay, because they may be needed again soon; none is started for it."""
    if seen.policy.idle_seconds is not None:
        return 0
    stay = kept(memory.ladder, prices=price, least_seconds=0.0, now=seen.now)
    return min(stay, seen.state.asked, seen.policy.max_replicas)


def _held(
    policy: PoolPolicy, state: PoolState, unknown: Unknown, memory: Memory, now: float
) -> tuple[Assessment, Memory]:
    failures = memory.failures + 1
    held = max(state.asked, policy.min_replicas)
    fallback = policy.fallback
    is_fallback = fallback is not None and failures >= fallback.failure_threshold and fallback.replicas >= held
    wanted = fallback.replicas if fallback is not None and is_fallback else held
    if is_fallback:
        times = count(failures, "time")
        why = f"{unknown.message}, {times} in a row; spec.fallback holds until it can be read"
    else:
        why = f"{unknown.message}; what is unknown scales nothing down, so the pool is held until it can be read"
    reason = Reason.FALLBACK_REPLICAS if is_fallback else Reason.METRICS_UNAVAILABLE
    stairs = (Step(now + HOLD_AFTER_START_SECONDS, wanted),)
    return Assessment(wanted=wanted, reason=reason, why=why, is_known=False), replace(
        memory, stairs=stairs, failures=failures
    )


def _wait(work: Work, service: float | None, supply: Supply) -> float | None:
    """How long the newest waiting task will wait: until the slots have had the time for all before it."""
    if not work.waiting:
        return 0.0
    if service is None or not supply.pods:
        return None
    needed = work.waiting * service + work.running * service / 2
    coming = sorted(supply.ready_in_seconds)
    for index, start in enumerate((*coming, float("inf"))):
        pods = supply.ready + index
        if not pods:
            continue
        # The time that all slots had together until `start` grows linearly between two starts.
        began = sum(coming[:index])
        moment = (needed / supply.concurrency + began) / pods
        if moment <= start:
            return max(moment, coming[index - 1] if index else 0.0)
    return None


def _miss(seen: _Seen, replicas: int) -> float | None:
    rates, policy = seen.rates, seen.policy
    if rates is None or not replicas:
        return None
    return miss_probability(
        slots=replicas * policy.concurrency,
        offered_load=rates.arrivals_per_second * rates.service_seconds,
        service_seconds=rates.service_seconds,
        wait_seconds=policy.objective.wait_seconds,
    )
