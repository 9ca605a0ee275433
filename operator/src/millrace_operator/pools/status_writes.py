"""Whose status is looked at and written in a pass: news at once, mere counts in turns and never all at once. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_NEWS: Final = 50
MOST_COUNTS: Final = 20
"""Writes in a pass: a thousand pools cost the API server and us no more than this."""
ESTIMATES_SECONDS: Final = 60.0
"""How old the estimates of a status may be while its counts stay."""
RESTING_ESTIMATES_SECONDS: Final = 300.0
"""The same of a pool without a task, whose rate falls by less and less: most of what a thousand pools have the API
server write would be that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An object whose status could be made anew."""

    uid: str
    is_urgent: bool
    """A decision or a condition changed."""
    looked_at: float
    """When its status was written last, or was found to say nothing new."""


def take_turns(
    turns: Iterable[Turn], *, pools: int, pass_seconds: float, interval_seconds: float, now: float
) -> tuple[Turn, ...]:
    """Choose the urgent ones, and of the others those that waited longest: all have their turn in an interval."""
    waiting = sorted(turns, key=lambda each: each.looked_at)
    share = math.ceil(pools * pass_seconds / interval_seconds) if interval_seconds else pools
    news = [each for each in waiting if each.is_urgent]
    counts = [each for each in waiting if not each.is_urgent and now - each.looked_at >= interval_seconds]
    return (*news[:MOST_NEWS], *counts[:share])


def is_worth_a_write(*, is_news: bool, is_at_rest: bool, age: float) -> bool:
    """Say whether a status that differs from the one written `age` seconds ago is written now, or some time later."""
    return is_news or age >= (RESTING_ESTIMATES_SECONDS if is_at_rest else ESTIMATES_SECONDS)
