"""Count arrivals and completions where the broker does not: from the workers' heartbeats, or a counter of Prometheus.

Heartbeats say how many tasks a worker started since it began and how many run now. What was started and does not run
is done; and what is done or is still there has arrived. Numbers of different moments contradict each other for a second
or two, so both totals only ever rise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from millrace_operator.model.reading import QueueReading
from millrace_operator.model.worker import Worker

FORGET_AFTER_SECONDS: Final = 600.0
"""A worker that was not heard for so long and comes back is counted from then on."""
Key = tuple[str, str]


@dataclass(slots=True)
class _Count:
    """A total that rises by what its counters rise."""

    total: int = 0
    last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def rise(self, name: str, value: int, *, now: float, at_first: int = 0, anew: int = 0) -> None:
        """Take in a counter: `at_first` counts when it is new, `anew` when it fell and so began again."""
        if name not in self.last:
            self.total += at_first
        else:
            before = self.last[name][0]
            self.total += value - before if value >= before else anew
        self.last[name] = (value, now)

    def forget_before(self, limit: float) -> None:
        """Forget counters that were not seen since."""
        self.last = {name: seen for name, seen in self.last.items() if seen[1] >= limit}


@dataclass(slots=True)
class _Pool:
    first_depth: int
    count: _Count = field(default_factory=_Count)
    arrivals: int = 0
    completions: int = 0


class Totals:
    """Remembers of each pool what it counted."""

    def __init__(self) -> None:
        self._pools: dict[Key, _Pool] = {}

    def by_workers(self, key: Key, reading: QueueReading, workers: Sequence[Worker]) -> QueueReading:
        """Add totals to a reading, counted by the workers that are heard."""
        pool = self._pools.setdefault(key, _Pool(first_depth=reading.tasks))
        for worker in workers:
            # What ran when a worker was first heard is done later, and must be counted then.
            started = {"at_first": worker.active, "anew": worker.processed}
            pool.count.rise(worker.node, worker.processed, now=worker.heard_at, **started)
        pool.count.forget_before(reading.read_at - FORGET_AFTER_SECONDS)
        return _carry(pool, reading, pool.count.total - sum(worker.active for worker in workers))

    def by_counter(self, key: Key, reading: QueueReading, completed: int) -> QueueReading:
        """Add totals to a reading, counted by a query."""
        pool = self._pools.setdefault(key, _Pool(first_depth=reading.tasks))
        # A sum falls by the whole past of a pod that went away; what is left of it was counted before.
        pool.count.rise("", completed, now=reading.read_at)
        return _carry(pool, reading, pool.count.total)

    def keep(self, keys: Mapping[Key, object]) -> None:
        """Forget pools that are gone."""
        self._pools = {key: pool for key, pool in self._pools.items() if key in keys}


def _carry(pool: _Pool, reading: QueueReading, completed: int) -> QueueReading:
    pool.completions = max(pool.completions, completed)
    pool.arrivals = max(pool.arrivals, pool.completions + reading.tasks - pool.first_depth)
    return replace(reading, arrivals_total=pool.arrivals, completions_total=pool.completions)
