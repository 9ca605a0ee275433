"""Expose what the loops see and decide to Prometheus, under the names that the contracts fix."""

import threading
from collections.abc import Mapping
from typing import Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from millrace_contracts import metrics as names
from millrace_contracts.metrics import Metric
from millrace_operator.decision.drain_memory import DrainEnd, RemovedState
from millrace_operator.reporting import exposition
from millrace_operator.reporting.pool_counters import PoolCounter
from millrace_operator.reporting.pool_gauges import Gauges
from millrace_operator.reporting.pool_histograms import PoolHistogram
from millrace_operator.reporting.report import PoolReport

Wrapper = TypeVar("Wrapper", bound=MetricWrapperBase)
Key = tuple[str, str]


def _made(kind: type[Wrapper], metric: Metric) -> Wrapper:
    return kind(metric.name, metric.help, metric.labels)


gauges: Final = Gauges()
"""What the last pass saw of pools and budgets."""
_WAITS: Final = PoolHistogram(names.WAITS, (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600))
_COLD_STARTS: Final = PoolHistogram(names.COLD_STARTS, (1, 2, 5, 10, 20, 30, 60, 120, 300, 600))
_DECISIONS: Final = PoolCounter(names.DECISIONS)
_SCALINGS: Final = PoolCounter(names.SCALINGS)
_TASKS_STARTED: Final = PoolCounter(names.TASKS_STARTED)
_TASKS_LATE: Final = PoolCounter(names.TASKS_LATE)
_VICTIMS: Final = PoolCounter(names.VICTIMS)
_DRAINS: Final = PoolCounter(names.DRAINS)
_OF_POOLS: Final = (_WAITS, _COLD_STARTS, _DECISIONS, _SCALINGS, _TASKS_STARTED, _TASKS_LATE, _VICTIMS, _DRAINS)

_LOOP_SECONDS = Histogram(
    names.LOOP_SECONDS.name,
    names.LOOP_SECONDS.help,
    names.LOOP_SECONDS.labels,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_LOOP_FAILURES = _made(Counter, names.LOOP_FAILURES)
_OBSERVATION_FAILURES = _made(Counter, names.OBSERVATION_FAILURES)
_JOBS = _made(Gauge, names.JOBS)
_RECORDS = _made(Counter, names.RECORDS)
_RECORD_FAILURES = _made(Counter, names.RECORD_FAILURES)

_BY: Final[tuple[tuple[PoolCounter, tuple[str, ...]], ...]] = (
    (_SCALINGS, ("up", "down")),
    (_VICTIMS, tuple(RemovedState)),
    (_DRAINS, tuple(DrainEnd)),
)
"""Counters of a pool by one more label, with all of its values."""


_NO_PASS_RUNS: Final = threading.Event()
_NO_PASS_RUNS.set()
SCRAPE_PATIENCE_SECONDS: Final = 2.0
"""How long a scrape waits for a pass to end; Prometheus itself waits for 10 s."""


def serve(port: int) -> None:
    """Serve /metrics on `port`, in threads of its own."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    exposition.serve(port, exposed_between_passes)


def pass_begins() -> None:
    """Let scrapes wait: what they would write is half old and half new, and the interpreter is the pass's."""
    _NO_PASS_RUNS.clear()


def pass_ends() -> None:
    """Let scrapes go on."""
    _NO_PASS_RUNS.set()


def exposed_between_passes(*, patience_seconds: float = SCRAPE_PATIENCE_SECONDS) -> bytes:
    """Write all metrics as soon as no pass over the pools runs, or after so long a wait. Blocks."""
    _NO_PASS_RUNS.wait(patience_seconds)
    return exposed()


def exposed() -> bytes:
    """Write all metrics in Prometheus' text format."""
    of_pools = (part.encode() for each in (gauges, *_OF_POOLS) for part in each.text())
    return b"".join((generate_latest(), *of_pools))


def meet_pool(pool: Key) -> None:
    """Begin a pool's counters at 0."""
    _WAITS.begin(pool)
    _COLD_STARTS.begin(pool)
    for total in (_TASKS_STARTED, _TASKS_LATE):
        total.add(pool, count=0)
    for counter, values in _BY:
        for value in values:
            counter.add(pool, value, count=0)


def count(report: PoolReport) -> None:
    """Count what happened in a pass: the decision, writes, tasks that started, starts and ends of pods."""
    pool, decision, outcome = report.pool.key, report.decision, report.outcome
    if decision is not None:
        _DECISIONS.add(pool, decision.reason.value)
    if outcome is not None and outcome.is_changed:
        _SCALINGS.add(pool, "up" if outcome.current > outcome.previous else "down")
    for seconds, tasks in report.waits:
        _WAITS.observe(pool, seconds, tasks)
        _TASKS_STARTED.add(pool, count=tasks)
        if seconds > report.pool.policy.objective.wait_seconds:
            _TASKS_LATE.add(pool, count=tasks)
    for seconds in report.state.cold_starts_seconds if report.state else ():
        _COLD_STARTS.observe(pool, seconds)
    for state, pods in report.drained.removed.items():
        _VICTIMS.add(pool, state, count=pods)
    for end, drains in report.drained.ended.items():
        _DRAINS.add(pool, end, count=drains)


def forget_pool(pool: Key) -> None:
    """Remove all series of a pool that is gone."""
    for each in (gauges, *_OF_POOLS):
        each.forget(pool)


def observe_loop(loop: str, seconds: float) -> None:
    """Record how long one pass of a loop took."""
    _LOOP_SECONDS.labels(loop).observe(seconds)


def count_loop_failure(loop: str) -> None:
    """Count a pass that ended in an error."""
    _LOOP_FAILURES.labels(loop).inc()


def count_observation_failure(source: str, failures: int = 1) -> None:
    """Count reads that failed, by what was read: "queue", "ledger" or "schedule"."""
    _OBSERVATION_FAILURES.labels(source).inc(failures)


def set_jobs_by_state(counts: Mapping[tuple[str, str], int]) -> None:
    """Show how many jobs there are, by (namespace, state); states that are not named have no series."""
    _JOBS.clear()
    for (namespace, state), number in counts.items():
        _JOBS.labels(namespace, state).set(number)


def add_records(*, namespace: str, model: str, outcome: str, count: int) -> None:
    """Count records that ended, by outcome: "succeeded", "failed" or "retried"; 0 begins the series."""
    _RECORDS.labels(namespace, model, outcome).inc(count)


def add_failures(*, namespace: str, model: str, code: str, count: int) -> None:
    """Count records that failed, by the code of the error; 0 begins the series."""
    _RECORD_FAILURES.labels(namespace, model, code).inc(count)
