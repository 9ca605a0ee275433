"""How long pods stay without need: learned for each of them from the gaps between the times that it was needed.

A pool's pods are seen as a ladder: the nth is needed whenever the pool needs n or more. While it is not, keeping it
costs its time, and not keeping it costs a start when it is needed again, and late tasks where a start takes longer than
the objective. Over the gaps seen so far, the time to stay with the least cost is known (ski rental with a learned
distribution; the delayed-off of Gandhi, Gupta, Harchol-Balter and Kozuch, TOCS 2012, is the case of one fixed time). It
never exceeds the price of one miss, so the loss against knowing the future is that of staying once for nothing.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final

from millrace_operator.api.worker_pool import Objective
from millrace_operator.decision.beyond_record import factor_beyond_record
from millrace_operator.decision.lateness import comes_too_late, wait_for_a_start

REMEMBERED_GAPS: Final = 12
LEAST_GAPS: Final = 3
WEIGHT_OF_A_MISS: Final = 10.0
"""At most this many cold starts are paid to be spared one that makes tasks late."""
UNKNOWN_SHARE: Final = 0.25
"""Share of the price for which a pod stays whose gaps are not known yet, unless missing it makes tasks late."""
LATE_SHARE: Final = 0.25
"""A start that exceeds the objective by this share of it makes tasks late, whatever else is done."""
INDIFFERENCE: Final = 1.5
"""Of times to stay that cost about the same the longest is taken: a late task is a broken promise."""
UNPREPARED_SHARE: Final = 0.4
"""Of the tasks that may be late, the share that bursts larger and gaps longer than ever before may take."""
SILENCE: Final = 7.0
"""Times the mean distance of tasks: so long a silence, of which chance makes 0.1 %, says that their rate has ended."""
_OVERHANG: Final = 1.1
"""A gap like the longest one seen is bridged with this much to spare, however many were seen."""


def _rungs() -> tuple[int, ...]:
    rungs, rung = [], 1
    while rung < 20_000:  # noqa: PLR2004 - beyond every maxReplicas
        rungs.append(rung)
        rung = max(rung + 1, round(rung * 1.12))
    return tuple(rungs)


RUNGS: Final = _rungs()
"""Every pod up to the eighth, then steps of an eighth: what is learned of one is true of its neighbours."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What is known of the pods of one rung."""

    needed_at: float
    """When they were needed last."""
    replicas: int
    """How many exactly were needed then."""
    gaps: tuple[float, ...] = ()
    stay: float | None = None
    """How long they stay by these gaps; None: too few to tell."""
    arrivals_per_second: float = 0.0
    """Of the pool then; only the first rung says it."""


Ladder = tuple[Rung, ...]
"""From the first pod up; as long as the pool ever was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a start costs, in pod-seconds."""

    first: float
    """Of the first pod: a pool that sleeps keeps every task waiting for it."""
    other: float
    is_late: bool
    """A start takes so much longer than the objective that the tasks that wait for it are late."""
    exceeded_share: float
    """Share of gaps and bursts that may be larger than what is prepared for."""


def prices(*, cold_start_seconds: float, objective: Objective) -> Prices:
    """Price a start: its own time; where it makes tasks late, up to ten times that, by how late they are."""
    cold, wait = wait_for_a_start(cold_start_seconds), objective.wait_seconds
    lateness = max(0.0, cold - wait) / wait
    other = cold * min(WEIGHT_OF_A_MISS, 1 + WEIGHT_OF_A_MISS / 2 * lateness)
    first = cold * WEIGHT_OF_A_MISS if comes_too_late(cold_start_seconds, objective) else other
    return Prices(
        first=first,
        other=other,
        is_late=lateness > LATE_SHARE,
        exceeded_share=UNPREPARED_SHARE * objective.tolerated_share,
    )


def climb(ladder: Ladder, *, needed: int, prices: Prices, now: float, arrivals_per_second: float = 0.0) -> Ladder:
    """Note that `needed` pods are needed now."""
    if needed <= 0:
        return ladder
    top = min(bisect_left(RUNGS, needed), len(RUNGS) - 1)
    rungs = list(ladder)
    for index in range(min(top + 1, len(rungs))):
        replicas = min(needed, RUNGS[index])
        rungs[index] = _needed_again(rungs[index], replicas, prices, now, is_first=index == 0)
    rungs.extend(Rung(now, min(needed, RUNGS[index])) for index in range(len(rungs), top + 1))
    rungs[0] = replace(rungs[0], arrivals_per_second=arrivals_per_second)
    return tuple(rungs)


def kept(ladder: Ladder, *, prices: Prices, now: float) -> int:
    """Count the pods that stay, whether needed or not."""
    for index in range(len(ladder) - 1, -1, -1):
        rung = ladder[index]
        if now - rung.needed_at < stay_seconds(ladder, index, prices):
            return rung.replicas
    return 0


def stay_seconds(ladder: Ladder, index: int, prices: Prices) -> float:
    """How long the pods of a rung stay."""
    price = prices.other if index else prices.first
    stay = ladder[index].stay if index < len(ladder) else None
    if stay is None:
        stay = price if prices.is_late or not index else UNKNOWN_SHARE * price
    # While tasks come at a rate at which the next one is worth waiting for, gaps that were shorter by chance say less.
    rate = ladder[0].arrivals_per_second if ladder and not index else 0.0
    if rate * price >= 1:
        stay = max(stay, SILENCE / rate)
    return min(stay, price)


def bursts_seen(ladder: Ladder) -> int:
    """Count the times, of those that are remembered, that a pool had work after a pause."""
    return 1 + len(ladder[0].gaps) if ladder else 1


def _needed_again(rung: Rung, replicas: int, prices: Prices, now: float, *, is_first: bool) -> Rung:
    gap = now - rung.needed_at
    if gap <= _CONTINUOUS_SECONDS:
        return replace(rung, needed_at=now, replicas=replicas)
    gaps = (*rung.gaps, gap)[-REMEMBERED_GAPS:]
    stay = _cheapest(gaps, prices, is_first=is_first) if len(gaps) >= LEAST_GAPS else None
    return Rung(now, replicas, gaps, stay)


_CONTINUOUS_SECONDS: Final = 2.5
"""Needs that follow each other within two passes are one."""


def _cheapest(gaps: tuple[float, ...], prices: Prices, *, is_first: bool) -> float:
    price = prices.first if is_first else prices.other
    overhang = max(_OVERHANG, factor_beyond_record(len(gaps), exceeded_share=prices.exceeded_share))
    candidates = [0.0, *sorted(min(gap * overhang, price) for gap in gaps)]
    costs = {stay: _cost(stay, gaps, price) for stay in candidates}
    tolerable = INDIFFERENCE * min(costs.values())
    return max(stay for stay, cost in costs.items() if cost <= tolerable)


def _cost(stay: float, gaps: tuple[float, ...], price: float) -> float:
    return sum(gap if gap <= stay else stay + price for gap in gaps)
