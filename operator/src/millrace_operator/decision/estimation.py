"""How fast tasks arrive and how long they take, from the broker's totals alone."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from millrace_operator.decision.history import History, Mark, index_before, mark_before

LONG_WINDOWS_SECONDS: Final = (3600.0, 900.0, 300.0, 120.0, 60.0)
SHORT_WINDOWS_SECONDS: Final = (60.0, 30.0, 15.0)
LONG_CONFIDENCE: Final = 2.0
"""Standard deviations by which a shorter window must differ before it overrules a longer one."""
SHORT_CONFIDENCE: Final = 1.5
"""The same for what only has to be quick: it is wrong more often, for a short time."""
OVERRULED_WITHIN: Final = 1.0
"""Standard deviations within which of the shorter window's rate the estimate comes when it is overruled."""
TREND_SECONDS: Final = 600.0
"""Long enough for a trend to stand out from chance, short against those of a day."""
TREND_CONFIDENCE: Final = 2.0
"""Standard deviations by which the halves of that time must differ before they are a trend."""
TREND_DEVIATIONS: Final = 1.5
"""Of the last of that time, within which a rise ends."""
TREND_ENDS_SECONDS: Final = 120.0
"""The last of that time, which says where the trend has led."""
LEAST_SPAN_SECONDS: Final = 4.0
ENOUGH_COMPLETIONS: Final = 20
LEAST_COMPLETIONS: Final = 5
CAUTION_COMPLETIONS: Final = 3.0
"""While few tasks ended, one may last longer than they did, by this number divided by theirs: a third for nine, which
is the standard error of a mean of nine exponential times, and soon nothing."""
LEAST_SHARE_OF_ENDED: Final = 0.1
_WITH_BURSTS_FROM_SECONDS: Final = 200.0
"""In longer windows a burst weighs little."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Tasks a second."""

    sustained: float
    """What lasts: for the steady size of a pool, and for people."""
    recent: float
    """What the last seconds make of it: for the tasks that will come while a pod starts."""
    upper: float
    """What the sustained rate may be as well, given how few tasks were seen."""


@dataclass(frozen=True, slots=True)
class _Count:
    """Arrivals within a time."""

    tasks: float
    seconds: float

    @property
    def rate(self) -> float:
        return self.tasks / self.seconds

    @property
    def deviation(self) -> float:
        return math.sqrt(self.tasks + 0.5) / self.seconds


def arrival_rate(history: History) -> Arrivals | None:
    """Estimate the rate of arrivals; None without a history.

    The longest window is the most exact as long as nothing changed, so it holds until the confidence interval of a
    shorter one excludes it: what the last minutes contradict does not hold any more, and about their rate does. A rate
    that rises or falls all along is carried on to now. Bounds are those of a Poisson count k, k + 1/2 +- z
    sqrt(k + 1/2), close to the Gamma quantile. A single burst is no rate: the readings with the most arrivals, a fifth
    of them, count no more than the one after them before they raise anything.
    """
    if not history.marks or history.span_seconds <= 0:
        return None
    sustained, upper = math.inf, math.inf
    for window in LONG_WINDOWS_SECONDS:
        if window <= max(2 * history.span_seconds, SHORT_WINDOWS_SECONDS[0]):
            sustained, upper = _unless_contradicted(history, sustained, upper, window, LONG_CONFIDENCE)
    sustained = _on_its_way(history, sustained)
    recent = sustained
    for window in SHORT_WINDOWS_SECONDS:
        recent, _ = _unless_contradicted(history, recent, upper, window, SHORT_CONFIDENCE)
    return Arrivals(sustained, recent, max(sustained, upper))


def _on_its_way(history: History, rate: float) -> float:
    """Follow a rate that rises or falls: where the halves of a window differ beyond chance, take the line through them.

    Any mean over a window lags behind by half of it. The line ends within what the last minutes may be: after a step it
    would lead too far. Of these the upper end bounds a rise, where a burst does not count, and the middle a fall: a pod
    too few costs more.
    """
    if history.span_seconds < TREND_SECONDS:
        return rate
    newest = history.marks[-1]
    middle = mark_before(history, newest.at - TREND_SECONDS / 2)
    older = _between(mark_before(history, newest.at - TREND_SECONDS), middle)
    newer = _between(middle, newest)
    growth = newer.rate - older.rate
    if abs(growth) <= TREND_CONFIDENCE * math.hypot(newer.deviation, older.deviation):
        return rate
    end = newer.rate + growth * newer.seconds / (newer.seconds + older.seconds)
    since = mark_before(history, newest.at - TREND_ENDS_SECONDS)
    if growth < 0:
        return min(rate, max(end, _between(since, newest).rate))
    latest = _Count(_without_bursts(history, since.at), newest.at - since.at)
    return max(rate, min(end, latest.rate + TREND_DEVIATIONS * latest.deviation))


def _between(first: Mark, last: Mark) -> _Count:
    return _Count(last.arrived - first.arrived, last.at - first.at)


def _unless_contradicted(
    history: History, rate: float, upper: float, window: float, confidence: float
) -> tuple[float, float]:
    newest = history.marks[-1]
    seconds = min(window, history.span_seconds)
    before = mark_before(history, newest.at - seconds)
    count = newest.arrived - before.arrived
    span = max(newest.at - before.at, LEAST_SPAN_SECONDS)
    spread = confidence * math.sqrt(count + 0.5)
    high = (count + 0.5 + spread) / span
    if high < rate < math.inf:
        return (count + 0.5 + OVERRULED_WITHIN * math.sqrt(count + 0.5)) / span, high
    if (count - spread) / span <= rate < math.inf:
        return rate, upper
    lasting = count if seconds > _WITH_BURSTS_FROM_SECONDS else _without_bursts(history, newest.at - seconds)
    if rate == math.inf:
        return lasting / span, high
    low = (lasting - confidence * math.sqrt(lasting + 0.5)) / span
    return ((lasting - OVERRULED_WITHIN * math.sqrt(lasting + 0.5)) / span, high) if low > rate else (rate, upper)


def _without_bursts(history: History, since: float) -> float:
    """Count the arrivals since a moment, with those of the fullest fifth of the time cut to the rate of the rest."""
    marks = history.marks[index_before(history, since) :]
    # Steps without an arrival add nothing and come first in the order: only how many they are matters.
    full = sorted(
        ((later.arrived - earlier.arrived) / (later.at - earlier.at), later.at - earlier.at)
        for earlier, later in pairwise(marks)
        if later.arrived != earlier.arrived
    )
    steps = len(marks) - 1
    last = steps - max(1, steps // 5) - 1 - (steps - len(full))
    if last < 0:
        return 0.0
    limit = full[last][0]
    return sum(min(rate, limit) * seconds for rate, seconds in full)


def service_seconds(history: History) -> float | None:
    """Estimate the mean time of a task in a slot; None before enough tasks ended.

    Little's law, L = lambda W: slot-seconds divided by completions. At the edges of the window the ages of the tasks
    that run are put right, taking tasks to end in the order in which they began; without it, the first completions of a
    burst would be charged with the time of all that still run. The longest window holds unless a shorter one
    contradicts it.
    """
    if not history.marks:
        return None
    newest, mean = history.marks[-1], None
    for window in LONG_WINDOWS_SECONDS:
        oldest = mark_before(history, newest.at - window)
        completions = newest.completed - oldest.completed
        if mean is None:
            # While many run and few have ended, those few are the short ones.
            if completions < max(LEAST_COMPLETIONS, history.running / 2):
                return None
            mean = _mean(oldest, newest)
        elif completions >= ENOUGH_COMPLETIONS and (recent := _mean(oldest, newest)) is not None:
            spread = LONG_CONFIDENCE / math.sqrt(completions)
            mean = min(max(mean, recent * (1 - spread)), recent * (1 + spread))
    return mean


def first_service_seconds(history: History) -> float | None:
    """Estimate how long a task may last by the first that ended; None before one did, or while far more run."""
    if not history.marks:
        return None
    oldest, newest = mark_before(history, history.marks[-1].at - LONG_WINDOWS_SECONDS[0]), history.marks[-1]
    ended = newest.completed - oldest.completed
    mean = _mean(oldest, newest) if ended >= max(1, history.running / 2) else None
    return None if mean is None else cautious_service_seconds(history, mean)


def cautious_service_seconds(history: History, measured: float) -> float:
    """Return how long a task may last, given how few ended of those that were measured."""
    newest = history.marks[-1]
    ended = newest.completed - mark_before(history, newest.at - LONG_WINDOWS_SECONDS[0]).completed
    return measured * (1 + CAUTION_COMPLETIONS / ended)


def _mean(oldest: Mark, newest: Mark) -> float | None:
    seen = newest.slot_seconds - oldest.slot_seconds
    seconds = seen + oldest.ages - newest.ages
    # Where next to all that was seen belongs to tasks that still run, what ended did so between two readings.
    if seconds <= LEAST_SHARE_OF_ENDED * seen:
        return None
    return seconds / (newest.completed - oldest.completed)
