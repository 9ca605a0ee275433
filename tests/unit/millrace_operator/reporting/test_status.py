"""What `kubectl get`, `describe` and `wait` see of a pool."""

from typing import Any

import pytest

from millrace_operator.api.worker_pool import Mode, PoolPolicy, WorkerPool
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.reporting.status import PoolReport, build_status, is_urgent, without_absent

NOW = 1_700_000_000.0
BLIND = Unknown(reason=Blindness.QUEUE_WITHOUT_LEADER, message="queue 'digits' has no leader")


def report(
    *,
    reading: Reading | None = None,
    state: PoolState | None = None,
    reason: Reason = Reason.BACKLOG_TO_DRAIN,
    mode: Mode = Mode.AUTO,
    error: str = "",
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
    return PoolReport(
        pool=pool,
        reading=reading or QueueReading(ready=96, unacked=2, consumers=3),
        estimates=Estimates(arrivals_per_second=2.412, service_seconds=5.0994),
        state=state or PoolState(asked=12, existing=3, ready=3),
        obstacle=None,
        decision=ScalingDecision(replicas=12, reason=reason, message="12 replicas."),
        outcome=ScaleOutcome(previous=12, current=12, error=error),
    )


def build(one: PoolReport, previous: dict[str, Any] | None = None, now: float = NOW) -> dict[str, Any]:
    return build_status(one, previous=previous or {}, now=now)


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    found = next(each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"]


def test_the_numbers_behind_the_columns() -> None:
    status = build(report())

    assert [status[name] for name in ("readiness", "desiredReplicas", "queue", "arrivalRate", "serviceSeconds")] == [
        "3/3",
        12,
        {"ready": 96, "unacked": 2, "consumers": 3},
        "2.41",
        "5.1",
    ]
    assert status["lastDecision"] == {
        "replicas": 12,
        "reason": "BacklogToDrain",
        "message": "12 replicas.",
        "time": "2023-11-14T22:13:20Z",
    }
    assert status["observedGeneration"] == 7


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
        pytest.param(report(reading=BLIND), "MetricsAvailable", ("False", "QueueWithoutLeader"), id="no leader"),
    ],
)
def test_each_condition_says_what_holds(one: PoolReport, kind: str, expected: tuple[str, str]) -> None:
    assert expected == condition(build(one), kind)


def test_every_message_is_a_sentence() -> None:
    for one in (report(), report(reading=BLIND), report(mode=Mode.ADVISORY), report(error="forbidden")):
        for each in build(one)["conditions"]:
            assert (each["message"][0].isupper() or each["message"][0].isdigit(), each["message"][-1]) == (True, ".")


def test_a_change_of_counts_is_not_urgent_and_a_change_of_a_condition_is() -> None:
    before = without_absent(build(report()))
    counted = without_absent(build(report(reading=QueueReading(ready=1, unacked=1, consumers=1)), before, NOW + 1))
    blind = without_absent(build(report(reading=BLIND), before, NOW + 1))

    assert [is_urgent(counted, before), is_urgent(blind, before)] == [False, True]


def test_the_time_of_a_decision_stays_while_its_number_and_reason_stay() -> None:
    before = without_absent(build(report()))
    same = build(report(), before, NOW + 60)
    other = build(report(reason=Reason.AT_MAXIMUM), before, NOW + 60)

    times = [each["lastDecision"]["time"] for each in (same, other)]
    assert times == ["2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"]
