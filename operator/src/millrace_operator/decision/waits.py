"""How long tasks waited, from the order of arrival: no message needs to be touched for it.

The nth task to start is the nth that arrived, so its wait is the time since the total of arrivals passed n. Priorities
and returned tasks change the order but not the mean.
"""

from typing import Final

from millrace_operator.decision.history import History, arrival_time

Waits = tuple[tuple[float, int], ...]
"""(seconds, tasks) of those that started since the last reading."""
_MOST_GROUPS: Final = 8


def oldest_wait(history: History, *, waiting: int) -> float | None:
    """Age of the oldest task that waits; 0 when none does, None before a history."""
    if not history.marks:
        return None
    last = history.marks[-1]
    return max(0.0, last.at - arrival_time(history, last.started + 1)) if waiting else 0.0


def waits_since(before: History, after: History) -> Waits:
    """Say how long those waited that started between two readings, in a few groups of equal size."""
    if not before.marks or not after.marks or after.marks[0].at > before.marks[-1].at:
        return ()
    first, last = before.marks[-1].started, after.marks[-1].started
    started = int(last - first)
    if started <= 0:
        return ()
    moment = (before.marks[-1].at + after.marks[-1].at) / 2
    groups = min(started, _MOST_GROUPS)
    sizes = [started // groups + (number < started % groups) for number in range(groups)]
    waits, number = [], first
    for size in sizes:
        waits.append((max(0.0, moment - arrival_time(after, number + (size + 1) / 2)), size))
        number += size
    return tuple(waits)
