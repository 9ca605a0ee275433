"""The broker's counters of one queue, added up over its nodes and carried on when a node restarts. Pure.

Every node counts what went through it since it started, and forgets that with a restart. A count that is lower than
before is therefore a new beginning from 0, and a node that does not answer keeps what it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Counters(NamedTuple):
    """What went out of a queue to workers, and what they acked. A message that is rejected is counted nowhere."""

    delivered: int = 0
    """To workers that ack, each redelivery included."""
    redelivered: int = 0
    acked: int = 0

    @property
    def held(self) -> int:
        """What workers hold, if nothing else happens to messages: only its changes mean something."""
        return self.delivered - self.redelivered - self.acked

    def since(self, before: "Counters") -> "Counters":
        """What was counted since `before` on the same node."""
        if any(now < then for now, then in zip(self, before, strict=True)):
            return self  # The node restarted: all of it is new.
        return Counters(*(now - then for now, then in zip(self, before, strict=True)))

    def plus(self, other: "Counters") -> "Counters":
        """Add two counts."""
        return Counters(*(one + two for one, two in zip(self, other, strict=True)))


NOTHING = Counters()


@dataclass(frozen=True, slots=True)
class CounterTotals:
    """What was counted since the operator began to read the queue."""

    total: Counters = NOTHING
    seen: Mapping[str, Counters] = field(default_factory=dict)
    """What each node said last."""


def add_up(totals: CounterTotals, by_node: Mapping[str, Counters]) -> CounterTotals:
    """Carry the totals on; `by_node` has each node that answered, with zeros where it has not counted anything."""
    total = totals.total
    for node, now in by_node.items():
        # What a node counted before it was heard for the first time belongs to the past.
        before = totals.seen.get(node, now)
        if now != before:
            total = total.plus(now.since(before))
    return CounterTotals(total=total, seen={**totals.seen, **by_node})
