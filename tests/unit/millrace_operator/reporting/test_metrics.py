"""What Prometheus sees: measurements, and nothing where nothing was measured."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from millrace_contracts import metrics as names
from millrace_operator.api.worker_pool import Objective, PoolPolicy, WorkerPool
from millrace_operator.decision.drain_memory import DrainEnd, RemovedState
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Unknown
from millrace_operator.reporting import metrics
from millrace_operator.reporting.pool_gauges import BudgetUse
from millrace_operator.reporting.report import Drained, PoolReport

POOL = ("ml", "metrics-test")
LABELS = {"namespace": "ml", "pool": "metrics-test"}
READING = QueueReading(read_at=0.0, ready=9, unacked=3, consumers=2)
BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="away")


def report(**more: Any) -> PoolReport:
    policy = PoolPolicy(concurrency=1, min_replicas=0, max_replicas=7, objective=Objective(wait_seconds=30.0))
    pool = WorkerPool(
        namespace=POOL[0],
        name=POOL[1],
        uid="uid",
        generation=1,
        created="",
        queue="q",
        deployment="d",
        policy=policy,
        status={},
    )
    estimates = more.pop("estimates", Estimates())
    decision = ScalingDecision(replicas=3, reason=Reason.BACKLOG_TO_DRAIN, message="3 replicas.", estimates=estimates)
    whole: dict[str, Any] = {"reading": READING, "state": PoolState(asked=3), "obstacle": None} | more
    outcome = more.get("outcome", ScaleOutcome(previous=3, current=3))
    return PoolReport(pool=pool, decision=decision, **(whole | {"outcome": outcome}))


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave no series to the next test."""
    yield
    metrics.forget_pool(POOL)


def sample(name: str, labels: dict[str, str]) -> float | None:
    """Read a sample as Prometheus does; None where there is none."""
    families = text_string_to_metric_families(metrics.exposed().decode())
    found = [each.value for family in families for each in family.samples if (each.name, each.labels) == (name, labels)]
    assert len(found) <= 1, "Prometheus refuses a series that stands there twice"
    return found[0] if found else None


def value(metric: names.Metric, **labels: str) -> float | None:
    return sample(metric.name, LABELS | labels)


def test_every_metric_of_the_contract_is_exposed() -> None:
    exposed = metrics.exposed().decode()

    for metric in vars(names).values():
        if isinstance(metric, names.Metric):
            assert f"# HELP {metric.name} {metric.help}" in exposed


def test_a_reading_and_the_objective_are_shown() -> None:
    metrics.gauges.show(report(estimates=Estimates(arrivals_per_second=2.5)))

    shown = (names.QUEUE_READY, names.QUEUE_UNACKED, names.ARRIVAL_RATE, names.METRICS_AVAILABLE)
    assert [9, 3, 2.5, 1] == [value(metric) for metric in shown]
    assert [30, 0.95, 7] == [
        value(each) for each in (names.OBJECTIVE_SECONDS, names.OBJECTIVE_RATIO, names.REPLICAS_MAX)
    ]


def test_what_cannot_be_read_has_no_series_instead_of_a_zero() -> None:
    metrics.gauges.show(report(estimates=Estimates(service_seconds=1.0)))
    metrics.gauges.show(report(reading=BLIND))

    assert (value(names.QUEUE_READY), value(names.SERVICE_SECONDS)) == (None, None)
    assert (value(names.METRICS_AVAILABLE), value(names.REPLICAS_BUSY)) == (0, None)


def test_decisions_and_writes_are_counted() -> None:
    metrics.count(report(outcome=ScaleOutcome(previous=0, current=3)))
    metrics.count(report())

    assert value(names.DECISIONS, reason="BacklogToDrain") == 2
    assert (value(names.SCALINGS, direction="up"), value(names.SCALINGS, direction="down")) == (1, None)


def test_counters_begin_at_zero_so_that_their_first_step_is_seen() -> None:
    metrics.meet_pool(POOL)

    begun = [value(names.TASKS_LATE), value(names.SCALINGS, direction="down"), value(names.VICTIMS, state="busy")]
    assert [0, 0, 0] == begun


def test_tasks_that_waited_longer_than_the_objective_are_late() -> None:
    metrics.count(report(waits=((29.0, 90), (31.0, 10))))

    assert (100, 10) == (value(names.TASKS_STARTED), value(names.TASKS_LATE))
    buckets = [sample(f"{names.WAITS.name}_bucket", LABELS | {"le": le}) for le in ("20", "30", "60", "+Inf")]
    assert [0, 90, 100, 100] == buckets
    assert sample(f"{names.WAITS.name}_sum", LABELS) == 29 * 90 + 31 * 10


def test_the_start_of_each_pod_and_its_end_are_counted() -> None:
    gone = Drained(removed={RemovedState.IDLE.value: 2}, ended={DrainEnd.REMOVED.value: 2})
    metrics.count(report(state=PoolState(asked=3, cold_starts_seconds=(2.5, 4.0)), drained=gone))

    assert sample(f"{names.COLD_STARTS.name}_count", LABELS) == 2
    assert (2, 2) == (value(names.VICTIMS, state="idle"), value(names.DRAINS, outcome="removed"))


def test_a_pool_that_is_gone_leaves_no_series() -> None:
    metrics.meet_pool(POOL)
    one = report(waits=((1.0, 1),), state=PoolState(asked=1, cold_starts_seconds=(1.0,)))
    metrics.gauges.show(one)
    metrics.count(one)

    metrics.forget_pool(POOL)

    assert "metrics-test" not in metrics.exposed().decode()


def test_a_budget_is_shown_until_it_is_gone() -> None:
    labels = {"namespace": "ml", "budget": "metrics-test"}
    metrics.gauges.show_budget(("ml", "metrics-test"), BudgetUse(capacity=8, used=6, wanted=20))
    assert sample(names.BUDGET_WANTED.name, labels) == 20

    metrics.gauges.keep_budgets(())
    assert sample(names.BUDGET_WANTED.name, labels) is None


def test_whether_beat_ticks_is_shown_only_where_it_is_known() -> None:
    shown = []
    for known in (None, True, False):
        metrics.gauges.beat_is_ticking = known
        shown.append(sample(names.BEAT_TICKING.name, {}))
    metrics.gauges.beat_is_ticking = None

    assert [None, 1, 0] == shown


def test_a_scrape_in_the_midst_of_a_pass_shows_what_the_pass_found() -> None:
    metrics.pass_begins()
    with ThreadPoolExecutor(max_workers=1) as threads:
        scrape = threads.submit(metrics.exposed_between_passes, patience_seconds=60.0)
        metrics.gauges.show(report())
        metrics.pass_ends()
        text = scrape.result().decode()

    assert "metrics-test" in text


def test_a_pass_that_does_not_end_keeps_no_scrape_waiting_for_ever() -> None:
    metrics.pass_begins()
    try:
        assert names.LOOP_SECONDS.name in metrics.exposed_between_passes(patience_seconds=0.0).decode()
    finally:
        metrics.pass_ends()
