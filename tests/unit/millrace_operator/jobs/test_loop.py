"""The whole loop against ports of our own; the ledger store against a real Redis is in the integration tests."""

# ruff: noqa: D102, ARG002 - the fakes have the methods of the ports, which are documented there

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from operator_jobs import UID, job_body, pool_body, verdict

from millrace_contracts.errors import JobFailure
from millrace_contracts.tasks import NotifyTask, PlanTask
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import KubernetesError, PublishError
from millrace_operator.jobs.ledger import LedgerUnreachable
from millrace_operator.jobs.loop import HURRIED_PAUSE_SECONDS, JobLoop
from millrace_operator.jobs.readings import Ledger, LedgerMissing, LedgerReading, LedgerUnknown
from millrace_operator.jobs.steps import JobEvent


class Ledgers:
    """Ledgers in memory."""

    def __init__(self) -> None:
        self.readings: dict[str, LedgerReading] = {}
        self.names: dict[str, tuple[str, str]] = {}
        self.is_away = False
        self.stops: list[JobFailure] = []
        self.asked: list[list[str]] = []

    async def read_all(self, uids: list[str]) -> dict[str, Ledger]:
        self.asked.append(uids)
        if self.is_away:
            return {uid: LedgerUnknown("Redis is away") for uid in uids}
        return {uid: self.readings.get(uid, LedgerMissing()) for uid in uids}

    async def submit(self, *, uid: str, namespace: str, name: str, now: float, attempt: int) -> None:
        self._answer()
        self.readings.setdefault(uid, LedgerReading(state="submitted", submitted_at=now, attempt=attempt))
        self.names[uid] = (namespace, name)

    async def note_plan_published(self, uid: str, *, now: float, share: str) -> None:
        self._answer()
        known = self.readings[uid]
        self.readings[uid] = replace(
            known, plan_published_at=now, plan_publications=known.plan_publications + 1, planned_as=share
        )

    async def suspend(self, uid: str) -> None:
        self._answer()
        self.readings[uid] = replace(self.readings[uid], is_suspended=True)

    async def dispatch_anew(self, uid: str, *, note: Mapping[str, Any]) -> bool:
        self._answer()
        known = self.readings[uid]
        noted = {name: float(value) if name.endswith("_at") else value for name, value in note.items()}
        self.readings[uid] = replace(
            known, **noted, is_suspended=False, plan_published_at=None, plan_publications=0, epoch=known.epoch + 1
        )
        return True

    async def note_notified(self, uid: str, notice: str, *, now: float) -> None:
        self._answer()
        known = self.readings[uid]
        self.readings[uid] = replace(known, notified=known.notified | {notice})

    async def stop(self, uid: str, *, reason: JobFailure, message: str) -> None:
        self.stops.append(reason)
        self.readings[uid] = replace(self.readings[uid], stop_reason=reason.value, stop_message=message)

    async def delete(self, uid: str, *, results_ttl_seconds: int | None) -> None:
        self._answer()
        self.readings.pop(uid, None)
        self.names.pop(uid, None)

    async def list_jobs(self) -> dict[str, tuple[str, str]]:
        self._answer()
        return dict(self.names)

    def _answer(self) -> None:
        if self.is_away:
            raise LedgerUnreachable("Redis is away")


@dataclass
class Cluster:
    """The API, the broker, the clock and what the operator reads of them."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pools: list[dict[str, Any]] = field(default_factory=lambda: [pool_body()])
    written: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    plans: list[PlanTask] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    held_back_tasks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    broker_is_away: bool = False
    api_is_away: bool = False
    is_slow: bool = False
    delivers: bool = True
    on_publish: Callable[[], None] = lambda: None
    moment: datetime = datetime(2027, 1, 15, 8, tzinfo=UTC)
    settings: Any = field(
        default_factory=lambda: SimpleNamespace(
            namespaces=("millrace",), job_loop_seconds=1.0, status_interval_seconds=5.0
        )
    )

    # the context
    @property
    def publisher(self) -> "Cluster":
        return self

    @property
    def clock(self) -> "Cluster":
        return self

    @property
    def held_back(self) -> "Cluster":
        return self

    def tell(self, by_pool: Mapping[tuple[str, str], int]) -> None:
        self.held_back_tasks = by_pool

    def has_prediction_job(self, uid: str) -> bool:
        return uid in self.jobs

    def now(self) -> datetime:
        return self.moment

    def prediction_jobs(self) -> list[dict[str, Any]]:
        return list(self.jobs.values())

    def worker_pools(self) -> list[dict[str, Any]]:
        return self.pools

    async def publish_plan(self, task: PlanTask) -> None:
        if self.broker_is_away:
            raise PublishError("RabbitMQ is away")
        self.plans.append(task)
        self.on_publish()

    async def publish_notification(self, task: NotifyTask, *, notice: str) -> None:
        if self.broker_is_away:
            raise PublishError("RabbitMQ is away")
        self.notices.append(notice)

    # the objects
    async def replace_status(self, job: PredictionJob, status: Mapping[str, Any]) -> str:
        if self.api_is_away:
            raise KubernetesError("the API is away")
        if self.is_slow:
            await asyncio.Event().wait()
        self.written.append(status)
        if self.delivers:
            body = self.jobs[job.uid]
            version = int(body["metadata"]["resourceVersion"]) + 1
            self.jobs[job.uid] = body | {
                "status": status,
                "metadata": body["metadata"] | {"resourceVersion": str(version)},
            }
            return str(version)
        return "1000"

    async def record_event(self, job: PredictionJob, event: JobEvent) -> None:
        self.events.append(event.reason)

    async def delete(self, job: PredictionJob) -> None:
        self.deleted.append(job.uid)

    async def find_uid(self, *, namespace: str, name: str) -> str | None:
        if self.api_is_away:
            raise KubernetesError("the API is away")
        return next((u for u, b in self.jobs.items() if b["metadata"]["name"] == name), None)

    # the metrics
    def set_jobs_by_state(self, counts: Mapping[tuple[str, str], int]) -> None:
        self.states = dict(counts)

    def add_records(self, *, namespace: str, model: str, outcome: str, count: int) -> None:
        pass

    def add_failures(self, *, namespace: str, model: str, code: str, count: int) -> None:
        pass


class Rig:
    """A loop, and time that passes by calling `look`."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.cluster = Cluster(jobs={body["metadata"]["uid"]: body for body in bodies})
        self.ledgers = Ledgers()
        self.loop = self.new_loop()

    def new_loop(self) -> JobLoop:
        context: Any = self.cluster
        ledgers: Any = self.ledgers
        return JobLoop(context, ledgers=ledgers, objects=self.cluster, metrics=self.cluster)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            asyncio.run(self.loop.look_once())
            self.cluster.moment += timedelta(seconds=1)

    def apply(self, **spec: Any) -> None:
        body = self.cluster.jobs[UID]
        self.cluster.jobs[UID] = body | {"spec": body["spec"] | spec}

    def set(self, **fields: Any) -> None:
        self.ledgers.readings[UID] = replace(self.ledgers.readings[UID], **fields)

    @property
    def status(self) -> dict[str, Any]:
        return self.cluster.jobs[UID]["status"]


def test_one_look_submits_publishes_and_reports_queued() -> None:
    rig = Rig(job_body())
    rig.look()
    assert (1, "Queued", ["Submitted"]) == (len(rig.cluster.plans), rig.status["state"], rig.cluster.events)


def test_after_something_was_done_for_a_job_the_next_looks_come_soon() -> None:
    rig = Rig(job_body())
    before = rig.loop.pause_seconds()
    rig.look()
    assert (1.0, HURRIED_PAUSE_SECONDS) == (before, rig.loop.pause_seconds())
    rig.look(5)
    assert 1.0 == rig.loop.pause_seconds()


def test_a_job_that_does_not_change_is_not_written_again() -> None:
    rig = Rig(job_body())
    rig.look(20)
    assert 1 == len(rig.cluster.written)


def test_counts_are_written_at_most_every_five_seconds() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=1000, shards_total=10, first_shard_at=1.0)
    rig.look()
    written = len(rig.cluster.written)
    for succeeded in range(1, 11):
        rig.set(succeeded=succeeded)
        rig.look()
    assert 2 == len(rig.cluster.written) - written


def test_an_api_that_is_slow_delays_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace_operator.jobs.loop.PATIENCE_SECONDS", 0.01)
    rig = Rig(job_body(), job_body(name="second", uid="second"))
    rig.cluster.is_slow = True
    rig.look()
    assert (2, []) == (len(rig.cluster.plans), rig.cluster.written)
    rig.cluster.is_slow = False
    rig.look()
    assert 2 == len(rig.cluster.written)


def test_a_restarted_operator_neither_publishes_nor_announces_again() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.loop = rig.new_loop()
    rig.look(3)
    assert (1, ["Submitted"]) == (len(rig.cluster.plans), rig.cluster.events)


def test_a_watch_that_lags_behind_does_not_make_the_loop_say_things_twice() -> None:
    rig = Rig(job_body())
    rig.cluster.delivers = False
    rig.look(3)
    assert (1, ["Submitted"]) == (len(rig.cluster.written), rig.cluster.events)


def test_a_plan_that_the_broker_did_not_take_is_published_when_it_is_back() -> None:
    rig = Rig(job_body())
    rig.cluster.broker_is_away = True
    rig.look(2)
    assert ("True", "BrokerUnreachable") == verdict(rig.status, "Queued")
    rig.cluster.broker_is_away = False
    rig.look(2)
    assert (1, ("True", "WaitingForPlan")) == (len(rig.cluster.plans), verdict(rig.status, "Queued"))


def test_redis_that_comes_back_resumes_the_job() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.ledgers.is_away = True
    rig.look()
    assert ("True", "LedgerUnreachable") == verdict(rig.status, "Queued")
    rig.ledgers.is_away = False
    rig.look()
    assert ("True", "WaitingForPlan") == verdict(rig.status, "Queued")


def test_redis_that_comes_back_empty_starts_the_job_anew_and_says_so() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.ledgers.readings.clear()
    rig.look()
    assert (2, ["Submitted", "LedgerLost"]) == (len(rig.cluster.plans), rig.cluster.events)


def test_a_deleted_job_loses_its_ledger() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.cluster.jobs.clear()
    rig.look()
    assert ({}, {}) == (rig.ledgers.readings, rig.ledgers.names)


def test_a_ledger_that_could_not_be_deleted_is_deleted_when_redis_is_back() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.cluster.jobs.clear()
    rig.ledgers.is_away = True
    rig.look()
    rig.ledgers.is_away = False
    rig.look()
    assert {} == rig.ledgers.readings


def test_a_job_that_is_deleted_while_it_is_looked_at_gets_no_new_ledger() -> None:
    rig = Rig(job_body(), job_body(name="second", uid="second"))
    rig.cluster.on_publish = lambda: rig.cluster.jobs.pop("second", None) and None
    rig.look()
    assert {UID} == set(rig.ledgers.readings)


def test_a_ledger_that_was_orphaned_while_nobody_watched_is_swept() -> None:
    rig = Rig()
    rig.ledgers.names = {"gone": ("millrace", "gone"), "foreign": ("elsewhere", "job")}
    rig.look()
    assert {"foreign": ("elsewhere", "job")} == rig.ledgers.names


def test_nothing_is_swept_while_the_api_cannot_confirm_it() -> None:
    rig = Rig()
    rig.cluster.api_is_away = True
    rig.ledgers.names = {"gone": ("millrace", "gone")}
    rig.look()
    assert {"gone": ("millrace", "gone")} == rig.ledgers.names


def test_the_ledger_of_a_namesake_that_is_gone_is_swept() -> None:
    rig = Rig(job_body(name="digits", uid="new"))
    rig.ledgers.names = {"old": ("millrace", "digits")}
    rig.look()
    assert {"new"} == set(rig.ledgers.names)


def test_a_status_that_could_not_be_written_is_written_at_the_next_look() -> None:
    rig = Rig(job_body())
    rig.cluster.api_is_away = True
    rig.look()
    rig.cluster.api_is_away = False
    rig.look()
    assert ("Queued", ["Submitted"]) == (rig.status["state"], rig.cluster.events)


def test_a_job_past_its_deadline_ends_in_the_same_look() -> None:
    rig = Rig(job_body(activeDeadlineSeconds=3))
    rig.look(4)
    assert ([JobFailure.DEADLINE_EXCEEDED], "Failed") == (rig.ledgers.stops, rig.status["state"])
    assert ("False", "DeadlineExceeded") == verdict(rig.status, "Succeeded")


def test_an_expired_job_is_deleted() -> None:
    rig = Rig(job_body(ttlSecondsAfterFinished=0))
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, finalized_at=1.0)
    rig.look(2)
    assert [UID] == rig.cluster.deleted


def test_an_object_that_breaks_the_loop_does_not_hold_up_the_others() -> None:
    broken = job_body(name="broken", uid="broken", output={"redis": {}})
    broken["status"] = {"startTime": "not a time"}
    rig = Rig(broken, job_body())
    rig.look()
    assert "Queued" == rig.status["state"]


def test_suspend_and_resume_publish_what_is_not_done_anew_and_tell_of_it() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=10, shards_total=10, first_shard_at=1.0)
    rig.apply(suspend=True)
    rig.look()
    assert ("Suspended", True) == (rig.status["state"], rig.ledgers.readings[UID].is_suspended)
    rig.apply(suspend=False)
    rig.look()
    assert (2, 2, "Running") == (len(rig.cluster.plans), rig.status["attempt"], rig.status["state"])
    assert ["Submitted", "Suspended", "Resumed"] == [e for e in rig.cluster.events if e != "Started"]


def test_a_changed_priority_reaches_what_is_not_done() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=10, shards_total=10, first_shard_at=1.0)
    rig.apply(priority=9)
    rig.look(3)
    assert [4, 9] == [plan.spec.priority for plan in rig.cluster.plans]


def test_each_receiver_is_told_once_also_by_a_new_operator() -> None:
    webhook = {"events": ["Succeeded"], "webhook": {"url": "https://a/b"}}
    rig = Rig(job_body(notifications=[webhook, {"events": ["Started", "Succeeded"], "event": {}}]))
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, first_shard_at=1.0, finalized_at=1.0)
    rig.look(2)
    rig.loop = rig.new_loop()
    rig.look(2)
    assert ["Succeeded:0"] == rig.cluster.notices
    assert [1, 1] == [rig.cluster.events.count(event) for event in ("Started", "Succeeded")]


def test_word_that_the_broker_did_not_take_is_sent_when_it_is_back_though_the_job_has_ended() -> None:
    rig = Rig(job_body(notifications=[{"events": ["Succeeded"], "kafka": {"topic": "t"}}]))
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, finalized_at=1.0)
    rig.cluster.broker_is_away = True
    rig.look(2)
    rig.loop = rig.new_loop()
    rig.cluster.broker_is_away = False
    rig.look(2)
    assert ("Succeeded", ["Succeeded:0"]) == (rig.status["state"], rig.cluster.notices)


def test_shards_that_are_held_back_are_told_to_their_pool_also_while_redis_is_away() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=100, shards_total=100, shards_dispatched=8, first_shard_at=1.0)
    rig.look()
    assert {("millrace", "digits"): 92} == rig.cluster.held_back_tasks
    rig.ledgers.is_away = True
    rig.look()
    assert {("millrace", "digits"): 92} == rig.cluster.held_back_tasks


def test_a_job_with_max_workers_asks_for_no_more_than_its_share() -> None:
    rig = Rig(job_body(concurrency={"maxWorkers": 1}))
    rig.look()
    rig.set(state="dispatched", total=100, shards_total=100, shards_dispatched=1, first_shard_at=1.0)
    rig.look()
    assert {} == rig.cluster.held_back_tasks


def test_jobs_that_have_ended_are_not_read_from_redis_again() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, finalized_at=1.0)
    rig.look(2)
    rig.ledgers.asked.clear()
    rig.look(3)
    assert [] == [uid for uids in rig.ledgers.asked for uid in uids]
