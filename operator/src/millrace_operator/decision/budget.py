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
    shares, _ = _deal(capacity, claims, dict.fromkeys(_names(claims), 0), {claim.pool: claim.floor for claim in claims})
    left = capacity - _units(claims, shares)
    shares, left = _deal(left, claims, shares, {claim.pool: max(claim.floor, min(1, claim.demand)) for claim in claims})
    shares, _ = _deal(left, claims, shares, {claim.pool: claim.demand for claim in claims})
    ceilings = _ceilings(capacity, claims, shares)
    return MappingProxyType(
        {name: Grant(share=shares[name], ceiling=ceilings[name]) for name in _names(claims)}
    )


def _deal(
    units: int, claims: tuple[Claim, ...], start: Mapping[str, int], limits: Mapping[str, int]
) -> tuple[dict[str, int], int]:
    """Deal replicas on top of `start`, none above its limit; answer who has how many, and the units that are left."""
    dealt = dict(start)
    queue = [(_turn(claim, dealt[claim.pool]), claim) for claim in claims if dealt[claim.pool] < limits[claim.pool]]
    queue = [(*turn, claim) for turn, claim in queue]  # type: ignore[misc]
    heapify(queue)
    while queue:
        claim = heappop(queue)[-1]
    return dealt, units
