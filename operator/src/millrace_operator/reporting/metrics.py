"""Expose what the loops see and decide to Prometheus, under the names that the contracts fix."""

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, start_http_server
from prometheus_client.metrics import MetricWrapperBase

from millrace_contracts import metrics as names
from millrace_contracts.metrics import Metric
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import QueueReading, Reading

Wrapper = TypeVar("Wrapper", bound=MetricWrapperBase)


def _made(kind: type[Wrapper], metric: Metric) -> Wrapper:
    return kind(metric.name, metric.help, metric.labels)


_QUEUE_READY = _made(Gauge, names.QUEUE_READY)
_QUEUE_UNACKED = _made(Gauge, names.QUEUE_UNACKED)
_QUEUE_CONSUMERS = _made(Gauge, names.QUEUE_CONSUMERS)
_DEAD_LETTERS = _made(Gauge, names.DEAD_LETTERS)
_ARRIVAL_RATE = _made(Gauge, names.ARRIVAL_RATE)
_SERVICE_SECONDS = _made(Gauge, names.SERVICE_SECONDS)
_REPLICAS_DESIRED = _made(Gauge, names.REPLICAS_DESIRED)
_REPLICAS_ACTUAL = _made(Gauge, names.REPLICAS_ACTUAL)
_REPLICAS_READY = _made(Gauge, names.REPLICAS_READY)
_METRICS_AVAILABLE = _made(Gauge, names.METRICS_AVAILABLE)
_DECISIONS = _made(Counter, names.DECISIONS)
_SCALINGS = _made(Counter, names.SCALINGS)
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

_OF_A_POOL: tuple[MetricWrapperBase, ...] = (
    _QUEUE_READY,
    _QUEUE_UNACKED,
    _QUEUE_CONSUMERS,
    _DEAD_LETTERS,
    _ARRIVAL_RATE,
    _SERVICE_SECONDS,
    _REPLICAS_DESIRED,
    _REPLICAS_ACTUAL,
    _REPLICAS_READY,
    _METRICS_AVAILABLE,
)


def serve(port: int) -> None:
    """Serve /metrics on `port`, in a thread of its own."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    start_http_server(port)


def show_queue(pool: tuple[str, str], reading: Reading, estimates: Estimates) -> None:
    """Show what was read of a pool's queue; what is not known has no series, since 0 would be a measurement."""
    seen = reading if isinstance(reading, QueueReading) else None
    _METRICS_AVAILABLE.labels(*pool).set(0 if seen is None else 1)
    _show(_QUEUE_READY, pool, None if seen is None else seen.ready)
    _show(_QUEUE_UNACKED, pool, None if seen is None else seen.unacked)
    _show(_QUEUE_CONSUMERS, pool, None if seen is None else seen.consumers)
    _show(_DEAD_LETTERS, pool, None if seen is None else seen.dead_letters)
    _show(_ARRIVAL_RATE, pool, estimates.arrivals_per_second)
    _show(_SERVICE_SECONDS, pool, estimates.service_seconds)


def show_replicas(pool: tuple[str, str], state: PoolState | None, decision: ScalingDecision | None) -> None:
    """Show what a pool has and what it is to have; a pool without a Deployment has neither."""
    _show(_REPLICAS_ACTUAL, pool, None if state is None else state.existing)
    _show(_REPLICAS_READY, pool, None if state is None else state.ready)
    _show(_REPLICAS_DESIRED, pool, None if decision is None else decision.replicas)


def count_decision(pool: tuple[str, str], reason: Reason, outcome: ScaleOutcome) -> None:
    """Count a decision, and the write that it led to."""
    _DECISIONS.labels(*pool, reason.value).inc()
    if outcome.is_changed:
        _SCALINGS.labels(*pool, "up" if outcome.current > outcome.previous else "down").inc()


def forget_pool(pool: tuple[str, str]) -> None:
    """Remove all series of a pool that is gone."""
    for metric in _OF_A_POOL:
        metric.remove_by_labels(dict(zip(names.POOL, pool, strict=True)))
    for counter in (_DECISIONS, _SCALINGS):
        counter.remove_by_labels(dict(zip(names.POOL, pool, strict=True)))


def observe_loop(loop: str, seconds: float) -> None:
    """Record how long one pass of a loop took."""
    _LOOP_SECONDS.labels(loop).observe(seconds)


def count_loop_failure(loop: str) -> None:
    """Count a pass that ended in an error."""
    _LOOP_FAILURES.labels(loop).inc()


def count_observation_failure(source: str) -> None:
    """Count a read that failed, by what was read: "queue" or "ledger"."""
    _OBSERVATION_FAILURES.labels(source).inc()


def set_jobs_by_state(counts: Mapping[tuple[str, str], int]) -> None:
    """Show how many jobs there are, by (namespace, state); states that are not named have no series."""
    _JOBS.clear()
    for (namespace, state), count in counts.items():
        _JOBS.labels(namespace, state).set(count)


def add_records(*, namespace: str, model: str, outcome: str, count: int) -> None:
    """Count records that ended, by outcome: "succeeded", "failed" or "retried"."""
    if count > 0:
        _RECORDS.labels(namespace, model, outcome).inc(count)


def _show(gauge: Gauge, pool: tuple[str, str], value: float | None) -> None:
    if value is None:
        gauge.remove_by_labels(dict(zip(names.POOL, pool, strict=True)))
    else:
        gauge.labels(*pool).set(value)
