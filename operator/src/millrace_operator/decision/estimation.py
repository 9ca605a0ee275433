"""How fast tasks arrive and how long they take, from the broker's totals alone."""

import math
from itertools import pairwise
from typing import Final

from millrace_operator.decision.history import History, Mark, index_before, mark_before

WINDOWS_SECONDS: Final = (15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
CONFIDENCE: Final = 2.0
"""Standard deviations by which a shorter window must differ before it overrules a longer one."""
LEAST_SPAN_SECONDS: Final = 10.0
_DENSE_SECONDS: Final = 30.0
"""As far back the history has a mark for each reading."""
ENOUGH_COMPLETIONS: Final = 50
LEAST_COMPLETIONS: Final = 5


def arrival_rate(history: History, *, service_seconds: float | None) -> tuple[float, float] | None:
    """Estimate (rate, upper bound) in tasks per second; None without a history.

    The longest window is the most exact as long as nothing changed. So it is narrowed by the confidence interval of each
    shorter one in turn: what the last seconds contradict does not hold any more. A single burst is over after the
    shortest window, and the seconds with the most arrivals count no more than the fifth of them with the next most: tasks
    that come all at once are one event and no rate. Bounds are those of a Poisson count k, k + 1/2 +- z sqrt(k + 1/2), which is close to the Gamma
    quantile. Windows shorter than a task say little about pods that are needed for as long as it runs.
    """
    if not history.marks or history.span_seconds <= 0:
        return None
    newest = history.marks[-1]
    rate, upper = math.inf, math.inf
    for window in reversed(WINDOWS_SECONDS):
        if window > max(2 * history.span_seconds, WINDOWS_SECONDS[0]):
            continue
        seconds = min(window, history.span_seconds)
        count = newest.arrived - mark_before(history, newest.at - seconds).arrived
        seconds = max(seconds, LEAST_SPAN_SECONDS)
        spread = CONFIDENCE * math.sqrt(count + 0.5)
        high = (count + 0.5 + spread) / seconds
        lasting = count if window > _DENSE_SECONDS else _without_bursts(history, newest.at - seconds)
        low = max(0.0, lasting - CONFIDENCE * math.sqrt(lasting + 0.5)) / seconds
        rate = min(max(rate if rate < math.inf else count / seconds, low), high)
        upper = max(rate, min(upper, high))
    return rate, upper


def _without_bursts(history: History, since: float) -> float:
    """Count the arrivals since a moment, those of the fullest fifth of the readings only as many as in the next one."""
    marks = history.marks[index_before(history, since) :]
    steps = sorted(later.arrived - earlier.arrived for earlier, later in pairwise(marks))
    if not steps:
        return 0.0
    cut = len(steps) - max(1, len(steps) // 5)
    limit = steps[cut - 1] if cut else 0.0
    return sum(steps[:cut]) + limit * (len(steps) - cut)


def service_seconds(history: History) -> float | None:
    """Estimate the mean time of a task in a slot; None before enough tasks ended.

    Little's law, L = lambda W: slot-seconds divided by completions. At the edges of the window the ages of the tasks that
    run are put right, taking tasks to end in the order in which they began; without it, the first completions of a burst
    would be charged with the time of all that still run.
    """
    if not history.marks:
        return None
    newest = history.marks[-1]
    for window in WINDOWS_SECONDS[2:]:
        oldest = mark_before(history, newest.at - window)
        completions = newest.completed - oldest.completed
        if completions >= ENOUGH_COMPLETIONS:
            return _mean(oldest, newest)
    oldest = history.marks[0]
    completions = newest.completed - oldest.completed
    # While many run and few have ended, those few are the short ones.
    if completions < max(LEAST_COMPLETIONS, history.running / 2):
        return None
    return _mean(oldest, newest)


def _mean(oldest: Mark, newest: Mark) -> float | None:
    seconds = newest.slot_seconds - oldest.slot_seconds + oldest.ages - newest.ages
    mean = seconds / (newest.completed - oldest.completed)
    return mean if mean > 0 else None
