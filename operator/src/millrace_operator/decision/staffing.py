"""How many slots keep the wait within the objective in the steady state.

Erlang C is the probability that a task of an M/M/m queue must wait (A. K. Erlang, 1917); the wait of those that do is
exponential, and Allen and Cunneen's factor (1 + cv^2) / 2 carries it over to other times of service.
"""

import math
from functools import lru_cache
from typing import Final

_DIGITS: Final = 3


def erlang_c(slots: int, offered_load: float) -> float:
    """Return P(wait > 0) with `offered_load` = rate x time of service, in slots; 1 where the load is too high."""
    if offered_load <= 0:
        return 0.0
    if slots <= offered_load:
        return 1.0
    blocking = 1.0
    for number in range(1, slots + 1):
        blocking = offered_load * blocking / (number + offered_load * blocking)
    return slots * blocking / (slots - offered_load * (1 - blocking))


def miss_probability(
    *, slots: int, offered_load: float, service_seconds: float, wait_seconds: float, variation: float = 1.0
) -> float:
    """Return P(wait > wait_seconds) of a task that arrives in the steady state."""
    if slots <= offered_load:
        return 1.0 if offered_load > 0 else 0.0
    patience = 2 * wait_seconds / (service_seconds * (1 + variation**2))
    return erlang_c(slots, offered_load) * math.exp(-(slots - offered_load) * patience)


def slots_for_load(*, offered_load: float, patience: float, tolerated: float, most: int) -> int:
    """Count the least slots with P(wait > objective) <= tolerated, or `most`; patience is objective / time of service.

    Rounded to three digits upwards before it is looked up, so that a pool of steady load costs a dictionary access.
    """
    if offered_load <= 0:
        return 0
    if offered_load >= most:
        return most
    return min(most, _slots(_rounded_up(offered_load), _rounded_down(patience), tolerated))


@lru_cache(maxsize=32_768)
def _slots(offered_load: float, patience: float, tolerated: float) -> int:
    slots = math.floor(offered_load) + 1
    blocking = 1.0
    for number in range(1, slots + 1):
        blocking = offered_load * blocking / (number + offered_load * blocking)
    while True:
        waits = slots * blocking / (slots - offered_load * (1 - blocking))
        if waits * math.exp(-(slots - offered_load) * patience) <= tolerated:
            return slots
        slots += 1
        blocking = offered_load * blocking / (slots + offered_load * blocking)


def _rounded_up(value: float) -> float:
    scale = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(value)))
    return math.ceil(value * scale) / scale


def _rounded_down(value: float) -> float:
    scale = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(value)))
    return math.floor(value * scale) / scale
