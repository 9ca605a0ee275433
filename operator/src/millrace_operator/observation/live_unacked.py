"""What workers hold of one queue at this moment: RabbitMQ's gauge, carried on by its live counters. Pure.

The gauge of unacked messages is up to 5 s old. Deliveries less acks are live but drift: a rejected message is counted
nowhere, and a node that restarts forgets. So the counters say how the number moves and the gauge says where it is. A
gauge that is read now is right about some moment of the last 6 s, and one that changed since the last read about some
moment since then. As long as the number was there at any of these moments, there is nothing to correct, and otherwise
it is moved by as little as makes it so.
"""

from dataclasses import dataclass
from itertools import dropwhile
from typing import Final

GAUGE_AGE_SECONDS: Final = 6.0
"""How old a gauge may be: RabbitMQ refreshes those of quorum queues every 5 s."""


@dataclass(frozen=True, slots=True)
class LiveUnacked:
    """Where the number is, and where it was lately."""

    offset: int = 0
    """What the counters have to be raised by."""
    path: tuple[tuple[float, int], ...] = ()
    """Moments and what the counters said, oldest first: the last 6 s and one moment before them."""
    gauge: int | None = None
    """What the gauge said last."""

    @property
    def value(self) -> int:
        """How many messages workers hold."""
        return max(0, self.offset + self.path[-1][1]) if self.path else 0


def follow(live: LiveUnacked, *, held: int, gauge: int | None, now: float) -> LiveUnacked:
    """Carry the number on to `now`, where the counters say `held`, and correct it by the gauge."""
    path = (*_recent(live.path, now), (now, held))
    offset = live.offset if live.path else (gauge or 0) - held
    if gauge is not None and gauge != live.gauge and live.gauge is not None and len(path) > 1:
        offset = _within(offset, path[-2:], gauge)
    elif gauge is not None:
        # While not all of the 6 s were seen, the gauge may be of a moment that was not. To count too little of what
        # workers hold is worse than to count too much of it, so it only raises the number then.
        corrected = _within(offset, path, gauge)
        offset = corrected if path[0][0] <= now - GAUGE_AGE_SECONDS else max(offset, corrected)
    return LiveUnacked(offset=offset, path=path, gauge=gauge)


def _recent(path: tuple[tuple[float, int], ...], now: float) -> tuple[tuple[float, int], ...]:
    """Keep the moments of the last 6 s and the one before them; after a longer gap nothing is known of them."""
    oldest = now - GAUGE_AGE_SECONDS
    recent = tuple(dropwhile(lambda moment: moment[0] < oldest, path))
    before = path[: len(path) - len(recent)][-1:]
    return before + recent if recent else ()


def _within(offset: int, path: tuple[tuple[float, int], ...], gauge: int) -> int:
    """Find the offset, nearest to this one, with which the number was what the gauge says at a moment of the path."""
    counted = [held for _, held in path]
    return min(max(offset, gauge - max(counted)), gauge - min(counted))
