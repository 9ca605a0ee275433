"""The order in which a drain writes, and what it does when a write fails."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from millrace_contracts.resources import DRAINING_SINCE, POD_DELETION_COST
from millrace_operator.actuation.drain import Drainer, DrainReport
from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.errors import ControlError, KubernetesError, ObjectNotFound
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import QueueReading
from millrace_operator.model.worker import Worker

BEGIN = 1_000_000.0


@dataclass
class Cluster:
    """A stand-in for the API: keeps what is written, in order."""

    log: list[tuple[Any, ...]] = field(default_factory=list)
    annotations: dict[str, dict[str, str | None]] = field(default_factory=dict)
    replicas: int = 2
    refuses_marks: KubernetesError | None = None
    refuses_scale: KubernetesError | None = None

    async def annotate_pod(self, *, namespace: str, name: str, annotations: Mapping[str, str | None]) -> None:
        """Take in annotations, unless marks are refused."""
        assert "team" == namespace
        if POD_DELETION_COST in annotations and self.refuses_marks and annotations[POD_DELETION_COST]:
            raise self.refuses_marks
        self.log.append(("annotate", name, *sorted(annotations)))
        self.annotations.setdefault(name, {}).update(annotations)

    async def lower_deployment(self, *, namespace: str, name: str, previous: int, replicas: int) -> None:
        """Take in replicas, unless they are refused."""
        assert ("team", "workers", self.replicas) == (namespace, name, previous)
        if self.refuses_scale:
            raise self.refuses_scale
        self.log.append(("lower", replicas))
        self.replicas = replicas


@dataclass
class Control:
    """A stand-in for Celery's remote control."""

    log: list[tuple[Any, ...]]
    answers: bool = True
    held: Mapping[str, int] = field(default_factory=dict)
    """Tasks in workers, where it is not none."""
    silent: Collection[str] = ()
    """Workers that do not answer what they hold."""
    error: ControlError | None = None

    async def cancel_consumer(self, queue: str, nodes: Collection[str]) -> frozenset[str]:
        """Note the command, and answer for every worker or for none."""
        return self._tell("cancel", queue, nodes)

    async def add_consumer(self, queue: str, nodes: Collection[str]) -> frozenset[str]:
        """Note the command, and answer for every worker or for none."""
        return self._tell("add", queue, nodes)

    async def tasks_held(self, nodes: Collection[str]) -> Mapping[str, int]:
        """Note the question, and answer for those that are not silent."""
        if not nodes:
            return {}
        if self.error:
            raise self.error
        self.log.append(("ask", *sorted(nodes)))
        return {node: self.held.get(node, 0) for node in nodes if node not in self.silent}

    async def close(self) -> None:
        """Note that it was closed."""
        self.log.append(("close",))

    def _tell(self, what: str, queue: str, nodes: Collection[str]) -> frozenset[str]:
        if self.error:
            raise self.error
        self.log.append((what, queue, *sorted(nodes)))
        return frozenset(nodes) if self.answers else frozenset()


@dataclass
class StoppedClock:
    """A clock that a test sets."""

    seconds: float = BEGIN

    def now(self) -> datetime:
        """Tell the time."""
        return datetime.fromtimestamp(self.seconds, tz=UTC)


@dataclass
class Stage:
    """Two idle pods, and a drainer that looks at them again and again."""

    clock: StoppedClock = field(default_factory=StoppedClock)
    cluster: Cluster = field(default_factory=Cluster)

    def __post_init__(self) -> None:
        self.control = Control(log=self.cluster.log)
        self.drainer = Drainer(
            kubernetes=self.cluster,  # type: ignore[arg-type]  # a stand-in
            controls={SourceType.RABBITMQ: self.control},  # type: ignore[dict-item]  # a stand-in
            clock=self.clock,  # type: ignore[arg-type]  # a stand-in
        )
        self.pool = WorkerPool.from_body(
            {
                "metadata": {"namespace": "team", "name": "digits", "uid": "u"},
                "spec": {"queue": "q", "maxReplicas": 9, "workloadRef": {"name": "workers"}},
            }
        )

    def step(self, desired: int, *, seconds: float = 2.0, is_binding: bool = True) -> DrainReport:
        """Let heartbeats come, and take a step."""
        self.clock.seconds += seconds
        names = ["a", "b"]
        pods = tuple(self._pod(name, age) for age, name in enumerate(names))
        return asyncio.run(
            self.drainer.step(
                self.pool,
                state=PoolState(asked=self.cluster.replicas, existing=2),
                pods=pods,
                workers={f"worker@{name}": self._worker(name) for name in names},
                reading=QueueReading(read_at=self.clock.seconds, ready=0, unacked=0),
                decision=ScalingDecision(
                    replicas=desired, reason=Reason.AT_MINIMUM, message="test", is_binding=is_binding
                ),
                now=self.clock.seconds,
            )
        )

    def _pod(self, name: str, age: int) -> Pod:
        since = self.cluster.annotations.get(name, {}).get(DRAINING_SINCE)
        draining_since = datetime.fromisoformat(since).timestamp() if since else None
        return Pod(name=name, uid=name, created_at=BEGIN - 99 + age, is_ready=True, draining_since=draining_since)

    def _worker(self, name: str) -> Worker:
        heard_at = self.clock.seconds - 0.1
        return Worker(node=f"worker@{name}", active=0, processed=3, heard_at=heard_at, first_heard_at=BEGIN)


def drained(stage: Stage) -> DrainReport:
    """Drain until replicas would be lowered."""
    for _ in range(3):
        stage.step(1)
    return stage.step(1)


def test_the_order_is_annotate_cancel_ask_mark_lower() -> None:
    stage = Stage()

    for _ in range(5):
        stage.step(1)

    assert [
        ("annotate", "b", DRAINING_SINCE),
        ("cancel", "q", "worker@b"),
        ("ask", "worker@b"),
        ("annotate", "b", POD_DELETION_COST, DRAINING_SINCE),
        ("lower", 1),
    ] == stage.cluster.log
    assert stage.drainer.is_draining("u")


@pytest.mark.parametrize("says", [{"held": {"worker@b": 1}}, {"silent": ["worker@b"]}], ids=["holds one", "silent"])
def test_a_victim_that_does_not_say_that_it_holds_nothing_stays(says: dict[str, Any]) -> None:
    """Its heartbeats said that nothing runs."""
    stage = Stage()
    vars(stage.control).update(says)

    report = [stage.step(1) for _ in range(3)][-1]

    assert ScaleOutcome(previous=2, current=2) == report.outcome
    assert "b did not say that nothing is held there" == report.holds
    assert POD_DELETION_COST not in stage.cluster.annotations["b"]


def test_a_victim_that_cannot_be_asked_stays() -> None:
    stage = Stage()
    for _ in range(2):
        stage.step(1)
    stage.control.error = ControlError("workers could not be asked")

    report = stage.step(1)

    assert (2, "workers could not be asked") == (report.outcome.current, report.holds)


def test_a_victim_that_could_not_be_marked_keeps_replicas_as_they_are() -> None:
    stage = Stage()
    stage.cluster.refuses_marks = KubernetesError("the Kubernetes API did not answer")

    report = drained(stage)

    assert ScaleOutcome(previous=2, current=2, error="the Kubernetes API did not answer") == report.outcome
    assert ("lower", 1) not in stage.cluster.log


def test_a_victim_that_is_gone_is_not_counted_twice() -> None:
    stage = Stage()
    stage.cluster.refuses_marks = ObjectNotFound("no such pod", status=404)

    report = drained(stage)

    assert ScaleOutcome(previous=2, current=2) == report.outcome


def test_replicas_that_somebody_changed_meanwhile_are_left_to_the_next_step() -> None:
    stage = Stage()
    stage.cluster.refuses_scale = KubernetesError("the test failed", status=422)

    assert ScaleOutcome(previous=2, current=2) == drained(stage).outcome
    stage.cluster.refuses_scale = None

    assert ScaleOutcome(previous=2, current=1) == stage.step(1).outcome


def test_a_broker_that_is_away_is_told_and_tried_again() -> None:
    stage = Stage()
    stage.control.error = ControlError("workers could not be told")

    assert "workers could not be told" == stage.step(1).holds
    stage.control.error = None
    stage.step(1)
    stage.step(1)

    assert ("cancel", "q", "worker@b") in stage.cluster.log


def test_a_pod_keeps_its_mark_until_its_worker_says_that_it_takes_tasks() -> None:
    stage = Stage()
    stage.step(1)
    stage.control.answers = False

    stage.step(2)
    assert stage.cluster.annotations["b"][DRAINING_SINCE]
    stage.control.answers = True
    report = [stage.step(2), stage.step(2)][-1]

    assert {DRAINING_SINCE: None, POD_DELETION_COST: None} == stage.cluster.annotations["b"]
    assert 0 == report.draining
    assert not stage.drainer.is_draining("u")


def test_a_decision_that_is_not_binding_gives_victims_back_and_takes_none() -> None:
    stage = Stage()
    stage.step(1)

    stage.step(1, is_binding=False)
    stage.step(1, is_binding=False)

    assert ("add", "q", "worker@b") == stage.cluster.log[2]
    assert 0 == len([entry for entry in stage.cluster.log if entry[0] == "lower"])


def test_closing_closes_each_connection_once() -> None:
    stage = Stage()

    asyncio.run(stage.drainer.close())

    assert [("close",)] == stage.cluster.log
