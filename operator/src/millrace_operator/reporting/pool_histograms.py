"""Histograms to which many equal observations are added at once; the library's own takes them one by one."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from millrace_contracts.metrics import Metric

Key = tuple[str, str]


@dataclass(slots=True)
class _Counts:
    counts: list[int]
    total: float = 0.0


@dataclass(eq=False)
class PoolHistogram(Collector):
    """One histogram, with a series for each pool."""

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

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Name the metric, for the registry."""
        yield HistogramMetricFamily(self.metric.name, self.metric.help, labels=self.metric.labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Make all series; called in a thread of the server."""
        family = HistogramMetricFamily(self.metric.name, self.metric.help, labels=self.metric.labels)
        names = (*(f"{bound:g}" for bound in self.bounds), "+Inf")
        for pool, counts in list(self._pools.items()):
            buckets = list(zip(names, accumulate(counts.counts), strict=True))
            family.add_metric(pool, buckets=buckets, sum_value=counts.total)
        yield family
