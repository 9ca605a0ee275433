"""How fast tasks arrive and how long they take, from the broker's counters alone.

Arrivals are what was acked plus what the depth grew by: RabbitMQ's publish counter misses delayed tasks. Mean service
time is Little's law: task-seconds in workers, divided by completions. Both stay None until there is enough to tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from millrace_operator.model.estimates import Estimates
from millrace_operator.model.reading import QueueReading, Reading, Unknown

ARRIVAL_WINDOW_SECONDS: Final = 60.0
SERVICE_WINDOW_SECONDS: Final = 300.0
"""Windows of 60 s scatter by a quarter, those of some minutes by a tenth."""
LEAST_SPAN_SECONDS: Final = 10.0
"""The unacked gauge is up to 5 s old, so shorter spans would measure its refreshing."""
LEAST_COMPLETIONS: Final = 5
LONGEST_GAP_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Running totals at one moment."""

    at: float
    acked: int
    depth: int
    task_seconds: float
    """Integral of unacked over time."""
    busy_seconds: float
    """Time in which tasks were seen to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The samples of the last minutes and the reading that the next one is compared with."""

    samples: tuple[Sample, ...] = ()
    last: QueueReading | None = None


def extend(history: History, reading: Reading, *, now: float) -> History:
    """Add a reading; after a gap in which nothing could be read, begin anew."""
    if isinstance(reading, Unknown):
        return history
    if not history.samples or history.last is None or now - history.samples[-1].at > LONGEST_GAP_SECONDS:
        return History(
            samples=(Sample(at=now, acked=0, depth=reading.tasks, task_seconds=0.0, busy_seconds=0.0),), last=reading
        )
    newest = history.samples[-1]
    elapsed = max(0.0, now - newest.at)
    sample = Sample(
        at=now,
        acked=newest.acked + acked_between(history.last.acked_by_node, reading.acked_by_node),
        depth=reading.tasks,
        task_seconds=newest.task_seconds + (history.last.unacked + reading.unacked) / 2 * elapsed,
        busy_seconds=newest.busy_seconds + (elapsed if history.last.unacked or reading.unacked else 0.0),
    )
    kept = tuple(older for older in history.samples if older.at >= now - SERVICE_WINDOW_SECONDS)
    return History(samples=(*kept, sample), last=reading)


def estimate(history: History) -> Estimates:
    """Estimate both rates from the samples."""
    return Estimates(arrivals_per_second=_arrivals_per_second(history), service_seconds=_service_seconds(history))


def acked_between(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Count the acks between two readings, over the nodes that both have; a counter that fell began anew at 0."""
    both = before.keys() & after.keys()
    return sum(after[node] - before[node] if after[node] >= before[node] else after[node] for node in both)


def _arrivals_per_second(history: History) -> float | None:
    if not history.samples:
        return None
    newest = history.samples[-1]
    oldest = next(sample for sample in history.samples if sample.at >= newest.at - ARRIVAL_WINDOW_SECONDS)
    span = newest.at - oldest.at
    if span < LEAST_SPAN_SECONDS:
        return None
    # Below zero only by the age of the gauge, or when messages were purged or dead-lettered.
    return max(0.0, (newest.acked - oldest.acked + newest.depth - oldest.depth) / span)


def _service_seconds(history: History) -> float | None:
    if not history.samples:
        return None
    oldest, newest = history.samples[0], history.samples[-1]
    completions = newest.acked - oldest.acked
    # A burst can begin and end between two refreshes of the gauge: what was hardly seen to run has no measured time.
    if completions < LEAST_COMPLETIONS or newest.busy_seconds - oldest.busy_seconds < LEAST_SPAN_SECONDS:
        return None
    return (newest.task_seconds - oldest.task_seconds) / completions
