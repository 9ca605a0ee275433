"""How much larger than all before the next burst, or the next gap, may be. Pure."""

import math
from functools import lru_cache
from typing import Final

_STEPS: Final = 40
"""Of bisection: more digits than any count of pods needs."""
_MOST: Final = 1000.0
"""More than any pool is multiplied by; what one value would ask for at 0.1 %."""


@lru_cache(maxsize=1024)
def factor_beyond_record(seen: int, *, exceeded_share: float) -> float:
    """Return c >= 1 such that the next value exceeds c times the largest of those seen with that probability only.

    For values from one exponential distribution it does so with the probability

        n! / ((1 + c) (2 + c) ... (n + c)),

    because the largest of n is the sum of n independent exponentials with the rates 1 to n (A. Renyi, On the theory of
    order statistics, 1953), whose Laplace transform at c this is. One value says little (c = 19 for 5 %), nineteen say
    as much as the 5 % themselves: from then on the largest is enough.
    """
    low, high = 1.0, _MOST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _log_exceeded(seen, middle) > math.log(exceeded_share):
            low = middle
        else:
            high = middle
    return low


def _log_exceeded(seen: int, factor: float) -> float:
    return math.lgamma(seen + 1) + math.lgamma(factor + 1) - math.lgamma(seen + factor + 1)
