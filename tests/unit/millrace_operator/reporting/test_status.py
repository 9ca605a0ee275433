"""What `kubectl get`, `describe` and `wait` see of a pool."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace_operator.api.worker_pool import Mode, PoolPolicy, WorkerPool
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.obstacle import Obstacle, ObstacleReason
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.reporting.pool_conditions import conditions_of
from millrace_operator.reporting.report import Drained, PoolReport
from millrace_operator.reporting.status import build_status, essence_of

NOW = 1_700_000_000.0
BLIND = Unknown(reason=Blindness.QUEUE_WITHOUT_LEADER, message="queue 'digits' has no leader")
READING = QueueReading(read_at=NOW, ready=96, unacked=2, consumers=3)
ESTIMATES = Estimates(
    arrivals_per_second=2.412,
    arrivals_upper_per_second=4.0,
    service_seconds=5.0994,
    cold_start_seconds=2.34,
    keep_alive_seconds=60.0,
    oldest_wait_seconds=7.6,
    wait_seconds=3.6,
    miss_probability=0.0123,
)
MISSING = Obstacle(reason=ObstacleReason.WORKLOAD_NOT_FOUND, message="There is no Deployment 'digits'.")


def report(
    *,
    reading: Reading = READING,
    state: PoolState | None = None,
    reason: Reason = Reason.BACKLOG_TO_DRAIN,
    mode: Mode = Mode.AUTO,
    error: str = "",
    obstacle: Obstacle | None = None,
    **more: Any,
) -> PoolReport:
    pool = WorkerPool(
        namespace="ml",
        name="digits",
        uid="uid",
        generation=7,
        created="",
        queue="digits",
        deployment="digits",
        policy=PoolPolicy(concurrency=8, min_replicas=0, max_replicas=12, idle_seconds=60, mode=mode),
        status={},
    )
    decision = ScalingDecision(replicas=12, reason=reason, message="12 replicas.", estimates=ESTIMATES)
    return PoolReport(
        pool=pool,
        reading=reading,
        state=state or PoolState(asked=12, existing=4, ready=3, draining=1, busy=2),
        obstacle=obstacle,
        decision=None if obstacle else decision,
        outcome=ScaleOutcome(previous=12, current=12, error=error),
        **more,
    )


def build(one: PoolReport, previous: dict[str, Any] | None = None, now: float = NOW) -> dict[str, Any]:
    return build_status(one, conditions=conditions_of(one), previous=previous or {}, now=now)


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    found = next(each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"]


def test_the_numbers_behind_the_columns() -> None:
    status = build(report())

    assert {
        "observedGeneration": 7,
        "readiness": "3/4",
        "replicas": 4,
        "readyReplicas": 3,
        "desiredReplicas": 12,
        "drainingReplicas": 1,
        "busyReplicas": 2,
        "objective": "30s p95",
        "queue": {"ready": 96, "unacked": 2, "consumers": 3, "oldestMessageAgeSeconds": 8},
        "wait": "4s",
        "arrivalRate": "2.41",
        "arrivalRateUpper": "4",
        "serviceSeconds": "5.1",
        "coldStartSeconds": "2.34",
        "keepAliveSeconds": "60",
        "predictedMissPercent": "1.2",
        "lastDecision": {
            "replicas": 12,
            "reason": "BacklogToDrain",
            "message": "12 replicas.",
            "time": "2023-11-14T22:13:20Z",
        },
        "conditions": status["conditions"],
    } == status


def test_every_field_is_one_of_the_resource_definition() -> None:
    crds = Path(__file__).parents[4] / "manifests/crds"
    version = yaml.safe_load((crds / "workerpools.yaml").read_text())["spec"]["versions"][0]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]

    assert set() == build(report()).keys() - fields.keys()


def test_what_is_not_known_is_absent() -> None:
    blind = build(report(reading=BLIND, obstacle=MISSING))

    assert set() == {"queue", "wait", "arrivalRate", "desiredReplicas", "predictedMissPercent"} & blind.keys()
    assert "replicas" not in blind["lastDecision"]


@pytest.mark.parametrize(
    ("one", "kind", "expected"),
    [
        pytest.param(report(), "Ready", ("False", "ReplicasStarting"), id="replicas that are asked for and not ready"),
        pytest.param(report(state=PoolState(asked=0)), "Ready", ("True", "ReplicasReady"), id="nothing is asked for"),
        pytest.param(report(), "ScalingActive", ("True", "ScalingByQueue"), id="the pool is scaled"),
        pytest.param(report(mode=Mode.PAUSED), "ScalingActive", ("False", "Paused"), id="the pool is paused"),
        pytest.param(report(error="forbidden"), "ScalingActive", ("False", "ScalingFailed"), id="a write was refused"),
        pytest.param(report(), "ScalingLimited", ("False", "WithinBounds"), id="the bounds leave room"),
        pytest.param(report(reason=Reason.AT_MAXIMUM), "ScalingLimited", ("True", "AtMaximum"), id="at the maximum"),
        pytest.param(
            report(state=PoolState(asked=3, ready=2, draining=1)),
            "Ready",
            ("True", "ReplicasReady"),
            id="a pool that shrinks is ready",
        ),
        pytest.param(
            report(truce="Replicas were changed."),
            "ScalingActive",
            ("False", "ReplicasChangedByOther"),
            id="another has written replicas",
        ),
        pytest.param(
            report(mistakes=("schedule '0 99 * * *' is no cron expression",)),
            "ScalingActive",
            ("True", "ScheduleInvalid"),
            id="a schedule is spoilt",
        ),
        pytest.param(
            report(reason=Reason.BUDGET_EXHAUSTED),
            "ScalingLimited",
            ("True", "BudgetExhausted"),
            id="the budget is exhausted",
        ),
        pytest.param(report(), "Draining", ("True", "PodsDraining"), id="pods drain"),
        pytest.param(
            report(state=PoolState(asked=1), drained=Drained(holds="every worker is busy")),
            "Draining",
            ("False", "Waiting"),
            id="pods cannot drain yet",
        ),
        pytest.param(
            report(state=PoolState(asked=1)), "Draining", ("False", "NothingToDrain"), id="nothing is to drain"
        ),
        pytest.param(report(reading=BLIND), "MetricsAvailable", ("False", "QueueWithoutLeader"), id="no leader"),
    ],
)
def test_each_condition_says_what_holds(one: PoolReport, kind: str, expected: tuple[str, str]) -> None:
    assert expected == condition(build(one), kind)


def test_every_message_is_a_sentence() -> None:
    held = Drained(holds="every worker is busy")
    for one in (
        report(drained=held),
        report(reading=BLIND, drained=held, state=PoolState(asked=1)),
        report(mode=Mode.ADVISORY),
        report(error="forbidden"),
        report(mistakes=("schedule '0 99 * * *' is no cron expression",)),
        report(obstacle=MISSING),
    ):
        for each in build(one)["conditions"]:
            assert (each["message"][0].isupper() or each["message"][0].isdigit(), each["message"][-1]) == (True, ".")


def test_a_change_of_counts_is_not_urgent_and_a_change_of_a_condition_is() -> None:
    counted = report(reading=QueueReading(read_at=NOW, ready=1, unacked=1, consumers=1))
    essences = [essence_of(each, conditions_of(each)) for each in (report(), counted, report(reading=BLIND))]

    assert [True, False] == [essences[0] == essences[1], essences[0] == essences[2]]


def test_the_time_of_a_decision_stays_while_its_number_and_reason_stay() -> None:
    before = build(report())
    same = build(report(), before, NOW + 60)
    other = build(report(reason=Reason.AT_MAXIMUM), before, NOW + 60)

    times = [each["lastDecision"]["time"] for each in (same, other)]
    assert times == ["2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"]
