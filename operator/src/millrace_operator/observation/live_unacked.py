"""What workers hold of one queue at this moment: RabbitMQ's gauge, carried on by its live counters. Pure.

The gauge of unacked messages is up to 5 s old. Deliveries less acks are live but drift: a rejected message is counted
nowhere, and a node that restarts forgets. So the counters say how the number moves and the gauge says where it is. A
gauge that is read now is right about some moment of the last 6 s; as long as the number was there at any of them, there
is nothing to correct, and otherwise it is moved by as little as makes it so.
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

    @property
    def value(self) -> int:
        """How many messages workers hold."""
        return max(0, self.offset + self.path[-1][1]) if self.path else 0


def follow(live: LiveUnacked, *, held: int, gauge: int | None, now: float) -> LiveUnacked:
    """Carry the number on to `now`, where the counters say `held`, and correct it by the gauge."""
    path = (*_recent(live.path, now), (now, held))
    offset = live.offset if live.path else (gauge or 0) - held
    if gauge is not None:
        offset = _corrected(offset, path, gauge, now)
    return LiveUnacked(offset=offset, path=path)


def _recent(path: tuple[tuple[float, int], ...], now: float) -> tuple[tuple[float, int], ...]:
    """Keep the moments of the last 6 s and the one before them; after a longer gap nothing is known of them."""
    oldest = now - GAUGE_AGE_SECONDS
    recent = tuple(dropwhile(lambda moment: moment[0] < oldest, path))
    before = path[: len(path) - len(recent)][-1:]
    return before + recent if recent else ()


def _corrected(offset: int, path: tuple[tuple[float, int], ...], gauge: int, now: float) -> int:
    counted = [held for _, held in path]
    lowest, highest = gauge - max(counted), gauge - min(counted)
    if path[0][0] > now - GAUGE_AGE_SECONDS:
        # The gauge may be of a moment that was not seen. What it says too little of would be missed; too much passes.
        return max(offset, lowest)
    return min(max(offset, lowest), highest)
