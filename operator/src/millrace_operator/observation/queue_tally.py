"""How many tasks arrived at a queue and how many ended since the operator began to read it. Pure.

RabbitMQ's counter of publishes misses every task that was delayed (ETA, countdown, retry), because those come by
dead-lettering. What left the queue for the first time and what still waits in it has no such hole: its growth is what
arrived. It may fall, too. A message that a worker returned waits for a second time until it is delivered again, and two
answers that are some milliseconds apart may both count the same message: such a fall takes back what was counted too
much, so the next arrivals make up for it. A queue that was purged, or whose messages expired, lost tasks that had
arrived: that fall is forgiven at once. Only as much as was delivered around it can be of the first kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace_operator.observation.counters import Counters, CounterTotals, add_up
from millrace_operator.observation.live_unacked import LiveUnacked, follow


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTally:
    """What is remembered of a queue from one read to the next."""

    counters: CounterTotals = field(default_factory=CounterTotals)
    unacked: LiveUnacked = field(default_factory=LiveUnacked)
    arrivals: int = 0
    """Tasks that arrived; never falls."""
    level: int | None = None
    """What left the queue for the first time and what waits in it, at the last read; None before the first one."""
    forgiven: int = 0
    """What `level` has to be raised by to be comparable with `arrivals`."""
    delivered_before: int = 0
    """What had been delivered one read before the last."""

    @property
    def completions(self) -> int:
        """Tasks that ended; never falls. Rejected messages are counted nowhere, so they are missing."""
        return self.counters.total.acked


def carry_on(
    tally: QueueTally, *, by_node: Mapping[str, Counters], gauge: int | None, ready: int | None, now: float
) -> QueueTally:
    """Take in one read; `ready` is what waits at this moment, None if that is not known."""
    counters = add_up(tally.counters, by_node)
    unacked = follow(tally.unacked, held=counters.total.held, gauge=gauge, now=now)
    arrivals, level, forgiven = tally.arrivals, tally.level, tally.forgiven
    if ready is not None:
        level = counters.total.delivered - counters.total.redelivered + ready
        if tally.level is None:
            forgiven = arrivals - level
        else:
            fall = tally.level - level
            forgiven += max(0, fall - (counters.total.delivered - tally.delivered_before))
        arrivals = max(arrivals, level + forgiven)
    return QueueTally(
        counters=counters,
        unacked=unacked,
        arrivals=arrivals,
        level=level,
        forgiven=forgiven,
        delivered_before=tally.counters.total.delivered,
    )
