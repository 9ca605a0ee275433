"""From tasks, rates and times to the replicas that keep the objective."""

import math
from dataclasses import dataclass, replace
from typing import Final

from millrace_operator.api.worker_pool import Objective, PoolPolicy
from millrace_operator.decision.history import History, mark_before
from millrace_operator.decision.lateness import comes_too_late
from millrace_operator.decision.staffing import slots_for_load
from millrace_operator.decision.supply import Supply

MARGIN: Final = 0.8
"""Share of the objective that plans may use up: the rest is for what estimates do not know."""
ASSUMED_VARIATION: Final = 0.6
"""Coefficient of variation of the time of a task: inferences of one model differ less than exponential times do."""
LATE_SHARE: Final = 0.5
"""Share of the objective in which tasks are started that are late already."""
TOLERATED_REST: Final = 0.5
"""Tasks beyond what the other pods start, for which no pod is started that comes too late for them anyway."""
ENVELOPE_SECONDS: Final = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
"""Times over which arrivals are held against what pods can do; shorter ones see single readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to do, in tasks."""

    waiting: int
    """In the queue, or held back until those before them are done."""
    running: int
    due: int = 0
    """Tasks known to arrive before a new pod could be ready."""
    held_back: int = 0
    """Of the waiting, those that prediction jobs keep out of the queue so that others get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is known of a pool's load."""

    arrivals_per_second: float
    """What lasts."""
    recent_arrivals_per_second: float
    """What the last seconds make of it."""
    service_seconds: float
    service_variation: float = ASSUMED_VARIATION
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


def demand_of_first_tasks(
    work: Work, *, rates: Rates, supply: Supply, policy: PoolPolicy, most_for_arrivals: int | None = None
) -> Demand:
    """Size a pool of which few tasks have ended: what they say spares slots, and never asks for more."""
    each = slot_for_each_task(work, concurrency=supply.concurrency)
    backlog = _backlog(
        work, rates=rates, supply=supply, objective=policy.objective, most_for_arrivals=most_for_arrivals
    )
    return replace(each, backlog=min(each.backlog, backlog))


def demand(
    work: Work, *, rates: Rates, supply: Supply, policy: PoolPolicy, most_for_arrivals: int | None = None
) -> Demand:
    """Size a pool whose rates are known.

    Where pods come too late for the burst that asks for them, `most_for_arrivals` bounds those that are asked for
    tasks that have not come yet.
    """
    concurrency, objective = supply.concurrency, policy.objective
    # Beyond maxReplicas the number does not matter, and finding it would take long.
    most = (policy.max_replicas + 1) * concurrency
    steady = steady_replicas(rates=rates, objective=objective, concurrency=concurrency, most_slots=most)
    is_idle = not work.waiting and not work.running
    return Demand(
        # Whether the last pod of an idle pool stays is a question of the gaps between tasks, see keep_alive.
        steady=0 if is_idle and rates.arrivals_per_second * rates.service_seconds < 1 else steady,
        backlog=_backlog(work, rates=rates, supply=supply, objective=objective, most_for_arrivals=most_for_arrivals),
        due=_pods(
            _slots_to_start(work.due, seconds=MARGIN * objective.wait_seconds, service_seconds=rates.service_seconds),
            concurrency,
        ),
        running=_pods(work.running, concurrency),
    )


def _backlog(work: Work, *, rates: Rates, supply: Supply, objective: Objective, most_for_arrivals: int | None) -> int:
    pods = backlog_replicas(work, rates=rates, supply=supply, objective=objective)
    if most_for_arrivals is None or pods <= most_for_arrivals:
        return pods
    for_what_is_there = replace(rates, recent_arrivals_per_second=0.0)
    return max(most_for_arrivals, backlog_replicas(work, rates=for_what_is_there, supply=supply, objective=objective))


def steady_replicas(*, rates: Rates, objective: Objective, concurrency: int, most_slots: int) -> int:
    """Staff for the rate of arrivals by Erlang C."""
    patience = 2 * objective.wait_seconds / (rates.service_seconds * (1 + rates.service_variation**2))
    slots = slots_for_load(
        offered_load=rates.arrivals_per_second * rates.service_seconds,
        patience=patience,
        tolerated=objective.tolerated_share,
        most=most_slots,
    )
    return _pods(slots, concurrency)


def backlog_replicas(work: Work, *, rates: Rates, supply: Supply, objective: Objective) -> int:
    """Count the pods that start every waiting task, and every one to arrive until new pods are ready, in time.

    Two bounds. What waits now must start within the objective: pods that are there have all of it, those on their way
    and new ones only what is left when they are ready. Where a cold start leaves nothing of the objective, what will be
    late anyway starts within half an objective after it. And what arrives within a cold start meets the queue as it
    will be then, which only pods that are asked for now can shorten; where nothing is to be expected, nothing does.
    """
    if not work.waiting:
        return 0
    service, cold = rates.service_seconds, rates.cold_start_seconds
    wait = MARGIN * objective.wait_seconds
    starts = _Starts(deadline=_deadline(cold, objective), service_seconds=service, running=work.running, supply=supply)
    rest = TOLERATED_REST if comes_too_late(cold, objective) else 0.0
    now = max(1, starts.pods_for(work.waiting - rest, cold_start_seconds=cold))
    # To the nearest task: where one is not to be expected, no pod starts for it.
    to_come = round(rates.recent_arrivals_per_second * (cold + wait))
    if not to_come:
        return now
    load = rates.recent_arrivals_per_second * service
    ahead = work.waiting * service + work.running * service / 2
    at_cold = max(0.0, ahead + load * cold - supply.slot_seconds_within(cold))
    tasks = work.waiting + work.running + to_come
    return max(now, min(_pods(at_cold / wait, supply.concurrency), _pods(tasks, supply.concurrency)))


def _deadline(cold: float, objective: Objective) -> float:
    """By when waiting tasks are to start: within the objective where new pods can do it, else soon after those are."""
    if comes_too_late(cold, objective):
        return cold + LATE_SHARE * objective.wait_seconds
    return max(MARGIN * objective.wait_seconds, (cold + objective.wait_seconds) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Starts:
    """How many tasks pods can start by a deadline: each slot one when it is free, and one after each task."""

    deadline: float
    service_seconds: float
    running: int
    supply: Supply

    def pods_for(self, tasks: float, *, cold_start_seconds: float) -> int:
        """Count the pods that start `tasks`: those that are there first, then those on their way, then new ones."""
        supply = self.supply
        ready = self._of_ready()
        if supply.ready and tasks <= ready:
            # Pods that are there share the work: the fewest that would do.
            return max(1, math.ceil(supply.ready * tasks / ready))
        left, pods = tasks - ready, supply.ready
        for ready_in in sorted(supply.ready_in_seconds):
            if left <= 0:
                return pods
            left, pods = left - self._of_pod(ready_in), pods + 1
        if left <= 0:
            return pods
        return pods + math.ceil(left / self._of_pod(cold_start_seconds))

    def _of_ready(self) -> float:
        slots = self.supply.ready * self.supply.concurrency
        busy = min(self.running, slots)
        in_busy = max(0.0, self.deadline / self.service_seconds)
        return (slots - busy) * self._of_slot(self.deadline) + busy * in_busy

    def _of_pod(self, ready_in: float) -> float:
        return self.supply.concurrency * self._of_slot(self.deadline - ready_in)

    def _of_slot(self, seconds: float) -> float:
        return _starts_of_slot(seconds, self.service_seconds)


def standing_replicas(history: History, *, service_seconds: float, wait_seconds: float, concurrency: int) -> int:
    """Count the pods that would have started every task of late in time, had they stood ready all along.

    The envelope of the arrivals: what came within any time w must be worked off within w and the objective (network
    calculus, as InferLine uses it, Crankshaw et al., SoCC 2020). What came before the pool was last empty is done.
    """
    if not history.marks:
        return 0
    newest = history.marks[-1]
    slots = 0.0
    for window in ENVELOPE_SECONDS:
        before = mark_before(history, newest.at - window)
        arrived, span = newest.arrived - before.arrived, max(window, newest.at - before.at)
        slots = max(slots, arrived * service_seconds / (span + wait_seconds))
        if before.completed >= before.arrived:
            break
    return _pods(slots, concurrency)


def _slots_to_start(tasks: float, *, seconds: float, service_seconds: float) -> float:
    """Count the slots that start `tasks` within `seconds`: each starts one at once and one after each task."""
    return tasks / _starts_of_slot(seconds, service_seconds)


def _starts_of_slot(seconds: float, service_seconds: float) -> float:
    """Count the tasks that a free slot starts within a time: one at once, then, on average, half a task late."""
    return seconds / service_seconds + 0.5 if seconds >= service_seconds else 1.0


def _pods(slots: float, concurrency: int) -> int:
    return max(0, math.ceil(slots / concurrency - 1e-9))
