"""A job as the operator drives it on real servers: its own decisions, its ledger in Redis, its plans in the broker.

The Kubernetes API has no part in it. What the operator would write there is kept here: the status, which comes back
with the next look as a watch would bring it, and the Events.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from operator_jobs import job_body, verdict
from redis.asyncio import Redis
from waiters import wait_until
from worker_jobs import Job, Platform

from millrace_operator.actuation.plan_broker import PlanBroker
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.ledger import LedgerStore
from millrace_operator.jobs.readings import JobView, PoolView
from millrace_operator.jobs.spec import build_plan
from millrace_operator.jobs.steps import Action, DispatchAnew, JobEvent, Notify, PublishPlan, Submit, Tidy
from millrace_worker.clock import seconds_since_epoch

POOL = "digits"


@dataclass
class OperatedJob:
    """A PredictionJob whose spec a test may change, as users may."""

    platform: Platform
    body: dict[str, Any]
    pool: PoolView
    runner: asyncio.Runner
    ledgers: LedgerStore
    publisher: PlanPublisher
    events: list[JobEvent] = field(default_factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        """What a user may change."""
        spec: dict[str, Any] = self.body["spec"]
        return spec

    @property
    def state(self) -> str:
        """What `kubectl get` would show."""
        return str(self.body["status"].get("state", ""))

    def reason(self, condition: str) -> str:
        """Answer the reason of a condition."""
        return verdict(self.body["status"], condition)[1]

    @property
    def known(self) -> Job:
        """The job as its ledger and its results show it."""
        return Job(self.platform, build_plan(PredictionJob.from_body(self.body), self.pool))

    def look(self, *, later_seconds: float = 0.0, running_tasks: int | None = None) -> tuple[Action, ...]:
        """Look at the job once, as if that were so much later, do what is decided, and answer it."""
        now = seconds_since_epoch() + later_seconds
        job = PredictionJob.from_body(self.body)
        pool = PoolView(
            name=self.pool.name,
            queue=self.pool.queue,
            concurrency=self.pool.concurrency,
            ready_replicas=1,
            waiting_tasks=self.platform.waiting(),
            running_tasks=running_tasks,
        )
        ledger = self.runner.run(self.ledgers.read_all([job.uid]))[job.uid]
        step = advance(JobView(job=job, ledger=ledger, pool=pool), now=now)
        self.body["status"] = dict(step.status)
        for action in step.actions:
            self.runner.run(self._do(job, action, now=now))
        return step.actions

    def look_until(self, state: str) -> None:
        """Look again and again, until the job is in this state and nothing is left to be done."""
        wait_until(
            lambda: not self.look() and self.state == state,
            what=f"the job to be {state}",
            timeout_seconds=100,
            explain=lambda: f"{self.body['status']}\n{self.known.explain()}",
        )

    async def _do(self, job: PredictionJob, action: Action, *, now: float) -> None:
        match action:
            case Submit():
                await self.ledgers.submit(uid=job.uid, namespace=job.namespace, name=job.name, now=now)
            case PublishPlan():
                await self.publisher.publish_plan(action.task)
                await self.ledgers.note_plan_published(job.uid, now=now, share=action.share)
            case DispatchAnew():
                assert await self.ledgers.dispatch_anew(job.uid, note=action.note)
            case Notify():
                if action.event is not None:
                    self.events.append(action.event)
                if action.task is not None:
                    await self.publisher.publish_notification(action.task, notice=action.notice)
                await self.ledgers.note_notified(job.uid, action.notice, now=now)
            case Tidy():
                await self.publisher.publish_tidying(action.task)
                await self.ledgers.note_tidied(job.uid, now=now)
            case _:
                message = f"no test has the operator do this yet: {action}"
                raise AssertionError(message)


@contextmanager
def operated_jobs(platform: Platform, *, concurrency: int = 2) -> Iterator["Operator"]:
    """Lend an operator for the jobs of a platform, of which one worker has so many task slots."""
    with asyncio.Runner() as runner:
        # Its queue of plans is the pool's, as with all platforms of tests.
        publisher = PlanPublisher(PlanBroker(url=platform.broker_url, timeout_seconds=30.0), queue=platform.queue)
        redis = Redis.from_url(platform.redis_url, decode_responses=True)
        try:
            yield Operator(platform, concurrency, runner, LedgerStore(redis), publisher)
        finally:
            runner.run(publisher.close())
            runner.run(redis.aclose())


@dataclass(frozen=True)
class Operator:
    """Makes jobs, and looks at none of its own accord."""

    platform: Platform
    concurrency: int
    runner: asyncio.Runner
    ledgers: LedgerStore
    publisher: PlanPublisher

    def apply(self, **spec: Any) -> OperatedJob:
        """Make a job as a user writes it; what is not given is as in any other test of the operator."""
        uid = str(uuid.uuid4())
        body = job_body(name=f"job-{uid[:8]}", uid=uid, workerPoolRef={"name": POOL}, **spec)
        pool = PoolView(name=POOL, queue=self.platform.queue, concurrency=self.concurrency)
        return OperatedJob(self.platform, body, pool, self.runner, self.ledgers, self.publisher)
