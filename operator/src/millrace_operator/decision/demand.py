"""From tasks, rates and times to the replicas that keep the objective."""

import math
from dataclasses import dataclass
from typing import Final

from millrace_operator.api.worker_pool import Objective
from millrace_operator.decision.staffing import slots_for_load
from millrace_operator.decision.supply import Supply

MARGIN: Final = 0.7
"""Share of the objective that plans may use up: the rest is for what estimates do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to do, in tasks."""

    waiting: int
    running: int
    due: int = 0
    """Tasks known to arrive before a new pod could be ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is known of a pool's load."""

    arrivals_per_second: float
    arrivals_upper_per_second: float
    service_seconds: float
    service_variation: float = 1.0
    cold_start_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Replicas by what they are for; the pool needs the most of them."""

    steady: int
    """For the rate of arrivals."""
    backlog: int
    """For the tasks that wait and those that arrive until a new pod is ready."""
    due: int
    """For tasks known to come."""
    running: int
    """For the tasks that run: none of their pods can go."""

    @property
    def replicas(self) -> int:
        """The most of them."""
        return max(self.steady, self.backlog, self.due, self.running)


def slot_for_each_task(work: Work, *, concurrency: int) -> Demand:
    """Before the time of a task is known: a slot for each, so that none waits for another."""
    return Demand(
        steady=0,
        backlog=_pods(work.waiting + work.running, concurrency) if work.waiting else 0,
        due=_pods(work.due, concurrency),
        running=_pods(work.running, concurrency),
    )


def demand(work: Work, *, rates: Rates, supply: Supply, objective: Objective) -> Demand:
    """Size a pool whose rates are known."""
    concurrency = supply.concurrency
    steady = steady_replicas(rates=rates, objective=objective, concurrency=concurrency)
    is_idle = not work.waiting and not work.running
    return Demand(
        # Whether the last pod of an idle pool stays is a question of the gaps between tasks, see keep_alive.
        steady=0 if is_idle and steady == 1 else steady,
        backlog=backlog_replicas(work, rates=rates, supply=supply, objective=objective),
        due=_pods(
            _slots_to_start(work.due, seconds=MARGIN * objective.wait_seconds, service_seconds=rates.service_seconds),
            concurrency,
        ),
        running=_pods(work.running, concurrency),
    )


def steady_replicas(*, rates: Rates, objective: Objective, concurrency: int) -> int:
    """Staff for the rate of arrivals by Erlang C."""
    patience = 2 * objective.wait_seconds / (rates.service_seconds * (1 + rates.service_variation**2))
    slots = slots_for_load(
        offered_load=rates.arrivals_per_second * rates.service_seconds,
        patience=MARGIN * patience,
        tolerated=objective.tolerated_share,
    )
    return _pods(slots, concurrency)


def backlog_replicas(work: Work, *, rates: Rates, supply: Supply, objective: Objective) -> int:
    """Count the pods that start every waiting task, and every one to arrive until new pods are ready, in time.

    Two bounds, both in slot-seconds. What waits now must start within the objective: pods that are there have all of it,
    new ones only what is left after their cold start. What arrives within a cold start meets the queue as it will be then,
    which only pods that are asked for now can shorten. Where a cold start leaves nothing of the objective, what will be
    late anyway gets a slot each, as late as a new pod, and no later.
    """
    if not work.waiting:
        return 0
    service, cold = rates.service_seconds, rates.cold_start_seconds
    wait = MARGIN * objective.wait_seconds
    ahead = work.waiting * service + work.running * service / 2
    short = ahead - supply.slot_seconds_within(max(wait, cold))
    left = wait - cold
    if short <= 0:
        new = 0
    elif left > 0:
        new = _pods(_slots_to_start(short / service, seconds=left, service_seconds=service), supply.concurrency)
    else:
        new = _pods(short / service, supply.concurrency)
    load = rates.arrivals_per_second * service
    at_cold = ahead + load * cold - supply.slot_seconds_within(cold)
    return max(supply.pods + new if new else 0, _pods(at_cold / wait, supply.concurrency) if at_cold > 0 else 0)


def _slots_to_start(tasks: float, *, seconds: float, service_seconds: float) -> float:
    """Count the slots that start `tasks` within `seconds`: each starts one at once and one after each task."""
    return tasks / (1 + seconds / service_seconds)


def _pods(slots: float, concurrency: int) -> int:
    return max(0, math.ceil(slots / concurrency - 1e-9))
