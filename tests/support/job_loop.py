"""A job loop on ports in memory: the ledgers, and a cluster that remembers what was written."""

# ruff: noqa: D102, ARG002 - the fakes have the methods of the ports, which are documented there

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from operator_jobs import UID, pool_body

from millrace_contracts.errors import JobFailure
from millrace_contracts.tasks import JobRef, NotifyTask, PlanTask, TidyTask
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import KubernetesError, PublishError
from millrace_operator.jobs.ledger import LedgerUnreachable
from millrace_operator.jobs.loop import JobLoop
from millrace_operator.jobs.readings import Ledger, LedgerMissing, LedgerReading, LedgerUnknown
from millrace_operator.jobs.steps import JobEvent
from millrace_operator.jobs.tidying import tidying


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

    async def note_tidied(self, uid: str, *, now: float) -> None:
        self._answer()
        self.readings[uid] = replace(self.readings[uid], is_tidied=True)

    async def stop(self, uid: str, *, reason: JobFailure, message: str) -> None:
        self.stops.append(reason)
        self.readings[uid] = replace(self.readings[uid], stop_reason=reason.value, stop_message=message)

    async def delete(self, uid: str, *, results_ttl_seconds: int | None) -> TidyTask | None:
        self._answer()
        reading = self.readings.pop(uid, None)
        namespace, name = self.names.pop(uid, ("", ""))
        if reading is None or reading.state == "finalized":
            return None
        return tidying(JobRef(namespace=namespace, name=name, uid=uid), reading.output_uri)

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
    tidied: list[str] = field(default_factory=list)
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

    def look_again_by(self, look_again: Callable[[], Awaitable[None]]) -> None:
        self.look_again = look_again

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

    async def publish_tidying(self, task: TidyTask) -> None:
        if self.broker_is_away:
            raise PublishError("RabbitMQ is away")
        self.tidied.append(task.output_uri)

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
