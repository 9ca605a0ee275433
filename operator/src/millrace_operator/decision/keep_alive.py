"""How long idle pods stay: the price of keeping them against the price of starting them again."""

from typing import Final

from millrace_operator.api.worker_pool import Objective

REMEMBERED_GAPS: Final = 50
LEAST_GAPS: Final = 3
WEIGHT_OF_A_MISS: Final = 10.0
"""What a task that misses the objective because of a cold start costs, in cold starts of one pod."""
DELAY_SHARE: Final = 0.5
LEAST_DELAY_SECONDS: Final = 5.0


def delay_seconds(cold_start_seconds: float) -> float:
    """How long demand must stay lower before pods go (delayed-off, Gandhi et al., TOCS 2012).

    A share of what starting one again costs: longer waste more than they save, shorter start pods for every dip.
    """
    return max(LEAST_DELAY_SECONDS, DELAY_SHARE * cold_start_seconds)


def keep_alive_seconds(gaps: tuple[float, ...], *, cold_start_seconds: float, objective: Objective) -> float:
    """How long the last pod stays without any task.

    Where a cold start fits into the objective, sleeping breaks nothing, and the pod stays no longer than starting it
    again would cost. Else the time that costs least over the gaps seen: idle time against misses; never more than one
    miss, which bounds the loss to twice the best (ski rental). Gaps that are all longer are not worth waiting for.
    """
    if cold_start_seconds < objective.wait_seconds:
        return delay_seconds(cold_start_seconds)
    limit = WEIGHT_OF_A_MISS * cold_start_seconds
    if len(gaps) < LEAST_GAPS:
        return limit
    least = delay_seconds(cold_start_seconds)
    candidates = sorted({least, *(min(gap * 1.1, limit) for gap in gaps)})
    return min(candidates, key=lambda stay: (_cost(stay, gaps, limit), stay))


def _cost(stay: float, gaps: tuple[float, ...], miss: float) -> float:
    return sum(gap if gap <= stay else stay + miss for gap in gaps)
