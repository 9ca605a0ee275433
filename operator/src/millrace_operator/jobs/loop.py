"""The control loop of the PredictionJobs: look at all of them, decide, act, report.

One pass costs one round trip to Redis, one more for the jobs on which it acted, and one write for each status that
changed.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import structlog
from redis.asyncio import Redis

from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.actions import Executor
from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.deletions import Cleaner
from millrace_operator.jobs.ledger import LedgerStore
from millrace_operator.jobs.objects import ApiJobObjects
from millrace_operator.jobs.pools import Pools, index_pools
from millrace_operator.jobs.ports import Clock, JobMetrics, JobObjects, PlanPublisher
from millrace_operator.jobs.readings import JobView, Ledger, LedgerMissing, LedgerUnknown
from millrace_operator.jobs.reporter import Reporter
from millrace_operator.jobs.tally import Tally
from millrace_operator.reporting import metrics as operator_metrics

LOOP: Final = "jobs"
_WRITES_AT_A_TIME: Final = 8

Body = Mapping[str, Any]
log = structlog.get_logger(__name__)


class JobLoopSettings(Protocol):
    """How often the loop runs and writes."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are watched; empty is all."""
        ...

    @property
    def job_loop_seconds(self) -> float:
        """How often all jobs are looked at."""
        ...

    @property
    def status_interval_seconds(self) -> float:
        """Least time between two writes of mere counts."""
        ...


class JobLoopContext(Protocol):
    """The part of the operator's context that this loop uses."""

    @property
    def settings(self) -> JobLoopSettings: ...  # noqa: D102 - as named
    @property
    def redis(self) -> Redis: ...  # noqa: D102 - as named
    @property
    def publisher(self) -> PlanPublisher: ...  # noqa: D102 - as named
    @property
    def kubernetes(self) -> KubernetesApi: ...  # noqa: D102 - as named
    @property
    def clock(self) -> Clock: ...  # noqa: D102 - as named
    @property
    def is_synced(self) -> bool:
        """Whether every object was listed once; before that, a pool that is not seen may exist."""
        ...

    def prediction_jobs(self) -> Iterable[Body]:
        """List all jobs, as raw bodies."""
        ...

    def worker_pools(self) -> Iterable[Body]:
        """List all pools, as raw bodies."""
        ...


class JobLoop:
    """Looks at all jobs, again and again."""

    def __init__(
        self, context: JobLoopContext, *, ledgers: LedgerStore, objects: JobObjects, metrics: JobMetrics
    ) -> None:
        settings = context.settings
        self._context = context
        self._ledgers = ledgers
        self._executor = Executor(ledgers=ledgers, publisher=context.publisher, objects=objects)
        self._reporter = Reporter(objects, interval_seconds=settings.status_interval_seconds)
        self._cleaner = Cleaner(
            ledgers=ledgers,
            objects=objects,
            watches=lambda namespace: not settings.namespaces or namespace in settings.namespaces,
        )
        self._tally = Tally(metrics)
        self._writes = asyncio.Semaphore(_WRITES_AT_A_TIME)

    async def look_once(self) -> None:
        """Advance every job by one step."""
        now = self._now()
        jobs = {job.uid: job for job in map(self._see, self._context.prediction_jobs())}
        self._executor.begin_pass(set(jobs))
        self._reporter.forget_all_but(set(jobs))
        await self._cleaner.clean(jobs, now=now)
        pools = index_pools(self._context.worker_pools(), now=now)
        ledgers = await self._ledgers.read_all([job.uid for job in jobs.values() if not job.is_finished])
        changed = [job.uid for job in jobs.values() if await self._act(job, ledgers, pools)]
        ledgers |= await self._ledgers.read_all([uid for uid in changed if uid in ledgers])
        await asyncio.gather(*(self._report(job, ledgers, pools) for job in jobs.values()))
        self._tally.count_jobs(jobs.values())
        if any(isinstance(ledger, LedgerUnknown) for ledger in ledgers.values()):
            operator_metrics.count_observation_failure("ledger")

    async def _act(self, job: PredictionJob, ledgers: Mapping[str, Ledger], pools: Pools) -> bool:
        try:
            now = self._now()
            actions = advance(self._view(job, ledgers, pools), now=now).actions
            return await self._executor.carry_out(job, actions, is_there=lambda: self._is_there(job.uid), now=now)
        except Exception:  # One job that cannot be advanced must not hold up the others.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("job not advanced", job=f"{job.namespace}/{job.name}")
            return False

    async def _report(self, job: PredictionJob, ledgers: Mapping[str, Ledger], pools: Pools) -> None:
        try:
            async with self._writes:
                now = self._now()
                status = advance(self._view(job, ledgers, pools), now=now).status
                self._tally.count_records(job, ledgers.get(job.uid, LedgerMissing()))
                await self._reporter.report(job, status, now=now)
        except Exception:  # As above.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("job not reported", job=f"{job.namespace}/{job.name}")

    def _see(self, body: Body) -> PredictionJob:
        return self._reporter.up_to_date(PredictionJob.from_body(body))

    def _view(self, job: PredictionJob, ledgers: Mapping[str, Ledger], pools: Pools) -> JobView:
        known = pools.get(job.namespace, {})
        return JobView(
            job=job,
            ledger=ledgers.get(job.uid, LedgerMissing()),
            pool=known.get(job.worker_pool_name),
            pool_names=tuple(known),
            publish_trouble=self._executor.publish_trouble(job.uid),
        )

    def _is_there(self, uid: str) -> bool:
        return any(body["metadata"]["uid"] == uid for body in self._context.prediction_jobs())

    def _now(self) -> float:
        return self._context.clock.now().timestamp()


async def run_job_loop(context: JobLoopContext) -> None:
    """Look at all jobs until cancelled; a pass that fails is counted and logged, and the next one comes anyway."""
    loop = JobLoop(
        context,
        ledgers=LedgerStore(context.redis),
        objects=ApiJobObjects(context.kubernetes, context.clock),
        metrics=operator_metrics,
    )
    while True:
        began = context.clock.monotonic_seconds()
        if context.is_synced:
            try:
                await loop.look_once()
            except Exception:  # The loop outlives whatever happens in one pass.
                operator_metrics.count_loop_failure(LOOP)
                log.exception("jobs not looked at")
            operator_metrics.observe_loop(LOOP, context.clock.monotonic_seconds() - began)
        elapsed = context.clock.monotonic_seconds() - began
        await asyncio.sleep(max(0.05, context.settings.job_loop_seconds - elapsed))
