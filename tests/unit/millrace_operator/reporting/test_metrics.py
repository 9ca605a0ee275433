"""What Prometheus sees: measurements, and nothing where nothing was measured."""

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, generate_latest

from millrace_contracts import metrics as names
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Unknown
from millrace_operator.reporting import metrics

POOL = ("ml", "metrics-test")
LABELS = {"namespace": "ml", "pool": "metrics-test"}
READING = QueueReading(ready=9, unacked=3, consumers=2)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave no series to the next test."""
    yield
    metrics.forget_pool(POOL)


def value(metric: names.Metric, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(metric.name, LABELS | labels)


def test_every_metric_of_the_contract_is_exposed() -> None:
    exposed = generate_latest().decode()

    for metric in vars(names).values():
        if isinstance(metric, names.Metric):
            assert f"# HELP {metric.name} {metric.help}" in exposed


def test_a_reading_is_shown() -> None:
    metrics.show_queue(POOL, READING, Estimates(arrivals_per_second=2.5))

    shown = (value(names.QUEUE_READY), value(names.QUEUE_UNACKED), value(names.ARRIVAL_RATE))
    assert shown == (9, 3, 2.5)
    assert value(names.METRICS_AVAILABLE) == 1


def test_what_cannot_be_read_has_no_series_instead_of_a_zero() -> None:
    metrics.show_queue(POOL, READING, Estimates(service_seconds=1.0))
    metrics.show_queue(POOL, Unknown(reason=Blindness.BROKER_UNREACHABLE, message="away"), Estimates())

    assert (value(names.QUEUE_READY), value(names.SERVICE_SECONDS)) == (None, None)
    assert value(names.METRICS_AVAILABLE) == 0


def test_decisions_and_writes_are_counted() -> None:
    metrics.count_decision(POOL, Reason.BACKLOG_TO_DRAIN, ScaleOutcome(previous=0, current=3))
    metrics.count_decision(POOL, Reason.BACKLOG_TO_DRAIN, ScaleOutcome(previous=3, current=3))

    assert value(names.DECISIONS, reason="BacklogToDrain") == 2
    assert (value(names.SCALINGS, direction="up"), value(names.SCALINGS, direction="down")) == (1, None)


def test_a_pool_that_is_gone_leaves_no_series() -> None:
    decision = ScalingDecision(replicas=3, reason=Reason.BACKLOG_TO_DRAIN, message="3 replicas.")
    metrics.show_queue(POOL, READING, Estimates())
    metrics.show_replicas(POOL, PoolState(asked=3), decision)
    metrics.count_decision(POOL, decision.reason, ScaleOutcome(previous=0, current=3))

    metrics.forget_pool(POOL)

    assert "metrics-test" not in generate_latest().decode()
