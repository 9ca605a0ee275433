"""Show the pools and budgets of the last pass to Prometheus, made when it asks: a pass itself only leaves them here."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from millrace_contracts import metrics as names
from millrace_contracts.metrics import Metric
from millrace_operator.model.reading import QueueReading
from millrace_operator.reporting.exposition import head, labels_of, lines, number
from millrace_operator.reporting.report import PoolReport

Key = tuple[str, str]
Value = float | None
Look = Callable[[PoolReport], Value]


def _of_reading(look: Callable[[QueueReading], Value]) -> Look:
    return lambda report: look(report.reading) if isinstance(report.reading, QueueReading) else None


GAUGES: Final[tuple[tuple[Metric, Look], ...]] = (
    (names.METRICS_AVAILABLE, lambda report: float(isinstance(report.reading, QueueReading))),
    (names.QUEUE_READY, _of_reading(lambda reading: reading.ready)),
    (names.QUEUE_UNACKED, _of_reading(lambda reading: reading.unacked)),
    (names.QUEUE_CONSUMERS, _of_reading(lambda reading: reading.consumers)),
    (names.DEAD_LETTERS, _of_reading(lambda reading: reading.dead_letters)),
    (names.QUEUE_OLDEST_SECONDS, lambda report: report.estimates.oldest_wait_seconds),
    (names.ARRIVAL_RATE, lambda report: report.estimates.arrivals_per_second),
    (names.ARRIVAL_RATE_UPPER, lambda report: report.estimates.arrivals_upper_per_second),
    (names.SERVICE_SECONDS, lambda report: report.estimates.service_seconds),
    (names.COLD_START_SECONDS, lambda report: report.estimates.cold_start_seconds),
    (names.KEEP_ALIVE_SECONDS, lambda report: report.estimates.keep_alive_seconds),
    (names.WAIT_SECONDS, lambda report: report.estimates.wait_seconds),
    (names.MISS_RATIO, lambda report: report.estimates.miss_probability),
    (names.OBJECTIVE_SECONDS, lambda report: report.pool.policy.objective.wait_seconds),
    (names.OBJECTIVE_RATIO, lambda report: report.pool.policy.objective.percentile / 100),
    (names.REPLICAS_MAX, lambda report: report.pool.policy.max_replicas),
    (names.REPLICAS_DESIRED, lambda report: report.decision.replicas if report.decision else None),
    (names.REPLICAS_ACTUAL, lambda report: report.state.existing if report.state else None),
    (names.REPLICAS_READY, lambda report: report.state.ready if report.state else None),
    (names.REPLICAS_DRAINING, lambda report: report.state.draining if report.state else 0),
    (names.REPLICAS_BUSY, lambda report: report.state.busy if report.state else None),
    (names.WORKERS_HEARD, lambda report: report.workers_heard),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """What the pools of a budget hold and want, in its units."""

    capacity: int
    used: int
    wanted: int


_BUDGET_GAUGES: Final[tuple[tuple[Metric, Callable[[BudgetUse], int]], ...]] = (
    (names.BUDGET_CAPACITY, lambda use: use.capacity),
    (names.BUDGET_USED, lambda use: use.used),
    (names.BUDGET_WANTED, lambda use: use.wanted),
)


class Gauges:
    """The last pass, as series. What is not known has no series, since 0 would be a measurement."""

    def __init__(self) -> None:
        self._reports: dict[Key, PoolReport] = {}
        self._budgets: dict[Key, BudgetUse] = {}
        self.beat_is_ticking: bool | None = None
        """None: not known."""

    def show(self, report: PoolReport) -> None:
        """Show a pool."""
        self._reports[report.pool.key] = report

    def forget(self, pool: Key) -> None:
        """Show a pool no more."""
        self._reports.pop(pool, None)

    def show_budget(self, budget: Key, use: BudgetUse) -> None:
        """Show a budget."""
        self._budgets[budget] = use

    def keep_budgets(self, budgets: Iterable[Key]) -> None:
        """Show no others than these."""
        for gone in self._budgets.keys() - set(budgets):
            self._budgets.pop(gone, None)

    def text(self) -> Iterator[str]:
        """Write all series; called in a thread of the server."""
        # Copied in one step of the interpreter, so that a pass may go on meanwhile.
        reports = [(labels_of(names.POOL, key), report) for key, report in list(self._reports.items())]
        for metric, look in GAUGES:
            yield head(metric, "gauge")
            yield lines(metric.name, ((labels, look(report)) for labels, report in reports))
        for metric, look_at in _BUDGET_GAUGES:
            uses = list(self._budgets.items())
            yield head(metric, "gauge")
            yield lines(metric.name, ((labels_of(metric.labels, key), look_at(use)) for key, use in uses))
        yield head(names.BEAT_TICKING, "gauge")
        if self.beat_is_ticking is not None:
            yield f"{names.BEAT_TICKING.name} {number(self.beat_is_ticking)}\n"
