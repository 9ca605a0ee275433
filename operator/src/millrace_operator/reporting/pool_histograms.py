"""Histograms with a series for each pool, to which many equal observations are added at once."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from millrace_contracts.metrics import Metric
from millrace_operator.reporting.exposition import head, labels_of, lines, number

Key = tuple[str, str]


@dataclass(slots=True)
class _Counts:
    counts: list[int]
    total: float = 0.0


@dataclass(eq=False)
class PoolHistogram:
    """One histogram."""

    metric: Metric
    bounds: tuple[float, ...]
    _pools: dict[Key, _Counts] = field(default_factory=dict)

    def begin(self, pool: Key) -> None:
        """Begin a pool's series at 0: of what is there at the first scrape Prometheus knows no rate."""
        self._pools.setdefault(pool, _Counts([0] * (len(self.bounds) + 1)))

    def observe(self, pool: Key, value: float, count: int = 1) -> None:
        """Add `count` observations of one value."""
        self.begin(pool)
        counts = self._pools[pool]
        counts.counts[bisect_left(self.bounds, value)] += count
        counts.total += value * count

    def forget(self, pool: Key) -> None:
        """Remove a pool's series."""
        self._pools.pop(pool, None)

    def text(self) -> Iterator[str]:
        """Write all series; called in a thread of the server."""
        yield head(self.metric, "histogram")
        name, ends = self.metric.name, [f"{bound:g}" for bound in self.bounds] + ["+Inf"]
        for pool, counts in list(self._pools.items()):
            labels = labels_of(self.metric.labels, pool)
            buckets = zip(ends, accumulate(counts.counts), strict=True)
            yield "".join([f'{name}_bucket{{{labels},le="{end}"}} {number(count)}\n' for end, count in buckets])
            yield lines(f"{name}_count", ((labels, sum(counts.counts)),))
            yield lines(f"{name}_sum", ((labels, counts.total),))
