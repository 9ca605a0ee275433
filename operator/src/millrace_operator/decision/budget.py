"""Share a budget among pools by priority, so that none starves and the total is never exceeded. Pure.

Replicas are dealt one at a time (a divisor method, Sainte-Laguë's): first those that minReplicas asks for, then one for
each pool that has work, then always to the pool that is furthest below its weight. So shares are whole replicas, come
within one of the weighted ideal, and never fall because the capacity, the pool's own wish or its weight has grown.

What a pool may ask for now is another matter: pods of others count until they are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import Final

KEPT_ANSWERS: Final = 256
"""Claims of a budget are mostly those of a second ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one pool has of a budget and would like to have."""

    pool: str
    priority: int
    """Weight, at least 1."""
    units_per_replica: int
    held: int
    """Replicas that exist or were asked for, whichever is more: what is given to others must be free first."""
    wanted: int
    """Replicas."""
    floor: int = 0
    """minReplicas: served before anything is shared by weight."""

    @property
    def demand(self) -> int:
        """Replicas that it would use."""
        return max(self.wanted, self.floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How many replicas a pool may have."""

    share: int
    """What is its due in the long run: a pool that holds more drains down to it when others want more."""
    ceiling: int
    """What it may ask for now: never more than what is free besides what it holds."""


def share_budget(capacity: int, claims: Sequence[Claim]) -> Mapping[str, Grant]:
    """Grant replicas by weighted max-min fairness, in whole replicas; `capacity` is in units."""
    return _share(capacity, tuple(sorted(claims, key=lambda claim: claim.pool)))


@lru_cache(maxsize=KEPT_ANSWERS)
def _share(capacity: int, claims: tuple[Claim, ...]) -> Mapping[str, Grant]:
    shares = {claim.pool: 0 for claim in claims}
    _deal(capacity, claims, shares, {claim.pool: claim.floor for claim in claims})
    _deal(capacity, claims, shares, {claim.pool: max(claim.floor, min(1, claim.demand)) for claim in claims})
    _deal(capacity, claims, shares, {claim.pool: claim.demand for claim in claims})
    ceilings = {claim.pool: claim.held for claim in claims}
    growing = tuple(claim for claim in claims if claim.held < shares[claim.pool])
    # Whoever holds more than its share is no part of this deal, but what it holds is taken.
    taken = _units(claims, ceilings) - _units(growing, ceilings)
    _deal(capacity - taken, growing, ceilings, shares)
    short = _units(growing, shares) - _units(growing, {claim.pool: claim.held for claim in growing})
    held = sum(claim.held * claim.units_per_replica for claim in claims)
    _release(held + short - capacity, claims, ceilings, shares)
    return MappingProxyType({pool: Grant(share=shares[pool], ceiling=ceilings[pool]) for pool in shares})


def _deal(capacity: int, claims: Sequence[Claim], dealt: dict[str, int], limits: Mapping[str, int]) -> None:
    """Deal what is left of `capacity`, one replica at a time, to who is furthest below its weight and its limit."""
    left = capacity - _units(claims, dealt)
    turns = [(_turn(claim, dealt[claim.pool]), claim) for claim in claims if dealt[claim.pool] < limits[claim.pool]]
    heapify(turns)
    while turns:
        _, claim = heappop(turns)
        if claim.units_per_replica > left:
            continue
        left -= claim.units_per_replica
        dealt[claim.pool] += 1
        if dealt[claim.pool] < limits[claim.pool]:
            heappush(turns, (_turn(claim, dealt[claim.pool]), claim))


def _turn(claim: Claim, has: int) -> tuple[float, bool, str]:
    # Of equal claims that one goes first which holds the replica already: nothing moves for the sake of a tie.
    return (2 * has + 1) * claim.units_per_replica / claim.priority, has >= claim.held, claim.pool


def _release(units: int, claims: Sequence[Claim], ceilings: dict[str, int], shares: Mapping[str, int]) -> None:
    """Lower ceilings until `units` would be free: replicas that nobody needs first, then who is furthest above."""
    turns = [(_last_turn(claim, claim.held), claim) for claim in claims if claim.held > shares[claim.pool]]
    heapify(turns)
    while units > 0 and turns:
        _, claim = heappop(turns)
        units -= claim.units_per_replica
        ceilings[claim.pool] -= 1
        if ceilings[claim.pool] > shares[claim.pool]:
            heappush(turns, (_last_turn(claim, ceilings[claim.pool]), claim))


def _last_turn(claim: Claim, has: int) -> tuple[bool, float, str]:
    return has <= claim.demand, -(2 * has - 1) * claim.units_per_replica / claim.priority, claim.pool


def _units(claims: Sequence[Claim], replicas: Mapping[str, int]) -> int:
    return sum(replicas[claim.pool] * claim.units_per_replica for claim in claims)
