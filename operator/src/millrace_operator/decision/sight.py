"""One look at a pool: what the reading, the pods and the memory say together. Pure."""

from dataclasses import dataclass, replace

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision.demand import Rates, Work
from millrace_operator.decision.estimation import (
    LEAST_SPAN_SECONDS,
    Arrivals,
    arrival_rate,
    cautious_service_seconds,
    first_service_seconds,
    service_seconds,
)
from millrace_operator.decision.history import History, extend, forget_when_old
from millrace_operator.decision.known_future import MARGIN_SECONDS, look_ahead, tasks_due
from millrace_operator.decision.memory import DEFAULT_COLD_START_SECONDS, Memory
from millrace_operator.decision.supply import Supply, supply_of
from millrace_operator.decision.waits import oldest_wait
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import QueueReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Everything that one look gives."""

    policy: PoolPolicy
    state: PoolState
    work: Work
    due_source: str
    """Where the tasks that come due are known from."""
    rates: Rates | None
    """None until it is known how long a task takes."""
    first_rates: Rates | None
    """What the first tasks that ended say, until then; None before one did."""
    cold_start_seconds: float
    """Measured, or assumed until it is."""
    supply: Supply
    estimates: Estimates
    now: float


def look(
    *,
    policy: PoolPolicy,
    state: PoolState,
    reading: QueueReading,
    outlook: Outlook,
    held_back: int,
    memory: Memory,
    now: float,
) -> tuple[Sight, Memory]:
    """Look at a pool whose queue was read."""
    history = forget_when_old(extend(memory.history, reading, service_seconds=memory.service_seconds), now=now)
    measured = service_seconds(history)
    service = memory.service_seconds if measured is None else measured
    cold = memory.cold_start_seconds
    assumed = DEFAULT_COLD_START_SECONDS if cold is None else cold
    arrivals = arrival_rate(history)
    due, source = tasks_due(memory.foresight, outlook, within_seconds=assumed + MARGIN_SECONDS, now=now)
    # Apps that ack early have nothing unacked, but each pod that says so runs a task at least.
    work = Work(
        waiting=reading.ready + held_back,
        running=max(reading.unacked, state.busy or 0),
        due=due,
        held_back=held_back,
    )
    supply = supply_of(state, concurrency=policy.concurrency, cold_start_seconds=assumed, now=now)
    arrived = None if reading.arrivals_total is None else float(reading.arrivals_total)
    memory = replace(
        memory,
        history=history,
        service_seconds=service,
        failures=0,
        foresight=look_ahead(memory.foresight, outlook, arrived=arrived, now=now),
    )
    estimates = Estimates(
        arrivals_per_second=arrivals.sustained if arrivals else None,
        arrivals_upper_per_second=arrivals.upper if arrivals else None,
        service_seconds=service,
        cold_start_seconds=cold,
        oldest_wait_seconds=oldest_wait(history, waiting=reading.ready),
        wait_seconds=_wait(work, service, supply),
    )

    def rates(planned_seconds: float | None) -> Rates | None:
        if planned_seconds is None:
            return None
        return _rates(history, arrivals, work, service_seconds=planned_seconds, cold_start_seconds=assumed)

    sight = Sight(
        policy=policy,
        state=state,
        work=work,
        due_source=source,
        rates=rates(service if measured is None else cautious_service_seconds(history, measured)),
        first_rates=rates(first_service_seconds(history) if service is None else None),
        cold_start_seconds=assumed,
        supply=supply,
        estimates=estimates,
        now=now,
    )
    return sight, memory


def _rates(
    history: History, arrivals: Arrivals | None, work: Work, *, service_seconds: float, cold_start_seconds: float
) -> Rates:
    return Rates(
        arrivals_per_second=arrivals.sustained if arrivals else 0.0,
        recent_arrivals_per_second=_recent(history, arrivals, work, cold_start_seconds),
        service_seconds=service_seconds,
        cold_start_seconds=cold_start_seconds,
    )


def _recent(history: History, arrivals: Arrivals | None, work: Work, cold_start_seconds: float) -> float:
    """Say what may come while a pod starts: where the queue was just seen again, up to as much as waits in it."""
    if arrivals is None:
        return 0.0
    if history.span_seconds >= LEAST_SPAN_SECONDS or not cold_start_seconds:
        return arrivals.recent
    return max(arrivals.recent, min(arrivals.upper, work.waiting / cold_start_seconds))


def _wait(work: Work, service: float | None, supply: Supply) -> float | None:
    """How long the newest waiting task will wait: until the slots have had the time for all before it."""
    if not work.waiting:
        return 0.0
    if service is None or not supply.pods:
        return None
    needed = (work.waiting * service + work.running * service / 2) / supply.concurrency
    coming = sorted(supply.ready_in_seconds)
    began = 0.0
    # The time that all slots had together grows linearly between two starts.
    for index, start in enumerate(coming):
        pods = supply.ready + index
        if pods and (needed + began) / pods <= start:
            return (needed + began) / pods
        began += start
    return (needed + began) / supply.pods
