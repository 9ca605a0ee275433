"""Counters with a series for each pool, written as text at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from millrace_contracts.metrics import Metric
from millrace_operator.reporting.exposition import head, labels_of, lines

Key = tuple[str, str]


@dataclass(eq=False)
class PoolCounter:
    """One counter; labels beyond the pool's are given with each count."""

    metric: Metric
    _pools: dict[Key, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def add(self, pool: Key, *values: str, count: float = 1) -> None:
        """Count; 0 begins a series, for of one that begins at 1 Prometheus never sees the first step."""
        series = self._pools.setdefault(pool, {})
        series[values] = series.get(values, 0) + count

    def forget(self, pool: Key) -> None:
        """Remove a pool's series."""
        self._pools.pop(pool, None)

    def text(self) -> Iterator[str]:
        """Write all series; called in a thread of the server."""
        yield head(self.metric, "counter")
        # Copied in one step of the interpreter each, so that a pass may go on meanwhile.
        pools = [(pool, list(series.items())) for pool, series in list(self._pools.items())]
        labels = self.metric.labels
        yield lines(
            self.metric.name,
            ((labels_of(labels, (*pool, *values)), count) for pool, series in pools for values, count in series),
        )
