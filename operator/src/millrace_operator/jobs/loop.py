"""The control loop of the PredictionJobs: look at all of them, decide, act, report.

One pass costs one round trip to Redis, one more for the jobs on which it acted, and one write for each status that
changed. Jobs that have ended cost nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from redis.asyncio import Redis

from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.actions import Executor
from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.deletions import Cleaner
from millrace_operator.jobs.held_back import HeldBack
from millrace_operator.jobs.ledger import LedgerStore
from millrace_operator.jobs.notices import has_told_all
from millrace_operator.jobs.objects import ApiJobObjects
from millrace_operator.jobs.pace import Pace, watch
from millrace_operator.jobs.pools import Pools, index_pools
from millrace_operator.jobs.ports import Clock, HeldBackBoard, JobMetrics, JobObjects, Publisher
from millrace_operator.jobs.readings import JobView, Ledger, LedgerMissing, LedgerReading, LedgerUnknown
from millrace_operator.jobs.reporter import Reporter
from millrace_operator.jobs.roster import Roster
from millrace_operator.jobs.status import says_something_new
from millrace_operator.jobs.steps import JobStep
from millrace_operator.jobs.tally import Tally
from millrace_operator.reporting import metrics as operator_metrics

LOOP: Final = "jobs"
PATIENCE_SECONDS: Final = 1.0
"""How long a look waits for its writes; an API that is slower than that must not delay what is decided next."""
HURRY_SECONDS: Final = 3.0
HURRIED_PAUSE_SECONDS: Final = 0.2
"""After something was done for a job it is looked at more often for a while: a small one is over before the next look,
and whoever applied it waits to be told."""
SECOND_LOOK_SECONDS: Final = 0.25
"""How long the pools wait for another look at jobs that were being planned."""
MOST_UNPLANNED: Final = 100
"""Of these, so that many new jobs do not delay the pools."""
_WRITES_AT_A_TIME: Final = 4
"""Of news, and as many of mere counts: somebody waits for a job that has ended, and counts must not be in the way."""

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
    def publisher(self) -> Publisher: ...  # noqa: D102 - as named
    @property
    def kubernetes(self) -> KubernetesApi: ...  # noqa: D102 - as named
    @property
    def clock(self) -> Clock: ...  # noqa: D102 - as named
    @property
    def held_back(self) -> HeldBackBoard: ...  # noqa: D102 - as named
    @property
    def is_synced(self) -> bool:
        """Whether every object was listed once; before that, a pool that is not seen may exist."""
        ...

    def prediction_jobs(self) -> Sequence[Body]:
        """List all jobs, as raw bodies; the very same list until one changes."""
        ...

    def has_prediction_job(self, uid: str) -> bool:
        """Tell whether a job is there now."""
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
            publisher=context.publisher,
            objects=objects,
            watches=lambda namespace: not settings.namespaces or namespace in settings.namespaces,
        )
        self._tally = Tally(metrics)
        self._roster = Roster()
        self._held_back = HeldBack()
        context.held_back.look_again_by(self.look_again_at_unplanned)
        self._paces: dict[str, Pace] = {}
        self._news = asyncio.Semaphore(_WRITES_AT_A_TIME)
        self._counts = asyncio.Semaphore(_WRITES_AT_A_TIME)
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._hurries_until = 0.0

    async def look_once(self) -> None:
        """Advance every job by one step."""
        now = self._now()
        self._roster.take(self._context.prediction_jobs())
        jobs = {uid: self._reporter.up_to_date(job) for uid, job in self._roster.open(now=now).items()}
        self._forget_all_but(set(jobs))
        await self._cleaner.clean(self._roster.jobs, now=now)
        # Those of other namespaces nobody asks for, and there may be a thousand of them each second.
        namespaces = {job.namespace for job in jobs.values()}
        pools = index_pools(self._context.worker_pools(), namespaces=namespaces, now=now)
        ledgers = await self._ledgers.read_all([uid for uid, job in jobs.items() if _has_ledger(job)])
        self._watch(ledgers)
        self._context.held_back.tell(self._held_back.count(jobs, ledgers))
        steps = {uid: step for uid, job in jobs.items() if (step := await self._act(job, ledgers, pools)) is not None}
        changed = [uid for uid, step in steps.items() if step.actions and uid in ledgers]
        if changed:
            self._hurries_until = now + HURRY_SECONDS
        ledgers |= await self._ledgers.read_all(changed)
        self._context.held_back.tell(self._held_back.count_again({uid: ledgers[uid] for uid in changed}))
        steps |= {uid: step for uid in changed if (step := self._decide(jobs[uid], ledgers, pools)) is not None}
        for uid, step in steps.items():
            self._tell(jobs[uid], step, ledgers.get(uid, LedgerMissing()))
        if self._writing:
            await asyncio.wait(self._writing.values(), timeout=PATIENCE_SECONDS)
        self._tally.count_jobs(self._roster.states)
        if any(isinstance(ledger, LedgerUnknown) for ledger in ledgers.values()):
            operator_metrics.count_observation_failure("ledger")

    async def look_again_at_unplanned(self) -> None:
        """Look again at jobs that were being planned: by now their first shards may wait in the queue."""
        unplanned = self._held_back.unplanned[:MOST_UNPLANNED]
        if not unplanned:
            return
        try:
            async with asyncio.timeout(SECOND_LOOK_SECONDS):
                ledgers = await self._ledgers.read_all(unplanned)
        except TimeoutError:
            return  # What was told last is used; the next look comes within a second.
        self._context.held_back.tell(self._held_back.count_again(ledgers))

    def pause_seconds(self) -> float:
        """Say how long after the beginning of a look the next one is due."""
        usual = self._context.settings.job_loop_seconds
        return min(usual, HURRIED_PAUSE_SECONDS) if self._now() < self._hurries_until else usual

    def _forget_all_but(self, uids: set[str]) -> None:
        self._executor.begin_pass(uids)
        self._reporter.forget_all_but(uids)
        self._tally.forget_all_but(uids)
        for uid in self._paces.keys() - uids:
            del self._paces[uid]

    def _watch(self, ledgers: Mapping[str, Ledger]) -> None:
        for uid, ledger in ledgers.items():
            if isinstance(ledger, LedgerReading) and ledger.first_shard_at is not None and ledger.done:
                self._paces[uid] = watch(
                    self._paces.get(uid),
                    epoch=ledger.epoch,
                    began_at=ledger.first_shard_at,
                    at=ledger.last_progress_at or ledger.first_shard_at,
                    done=ledger.done,
                )

    async def _act(self, job: PredictionJob, ledgers: Mapping[str, Ledger], pools: Pools) -> JobStep | None:
        step = self._decide(job, ledgers, pools)
        if step is None or not step.actions:
            return step
        try:
            await self._executor.carry_out(
                job,
                step.actions,
                is_there=lambda: self._context.has_prediction_job(job.uid),
                now=self._now(),
            )
        except Exception:  # One job that cannot be advanced must not hold up the others.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("job not advanced", job=f"{job.namespace}/{job.name}")
        return step

    def _decide(self, job: PredictionJob, ledgers: Mapping[str, Ledger], pools: Pools) -> JobStep | None:
        try:
            return advance(self._view(job, ledgers, pools), now=self._now())
        except Exception:  # As above.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("job not looked at", job=f"{job.namespace}/{job.name}")
            return None

    def _tell(self, job: PredictionJob, step: JobStep, ledger: Ledger) -> None:
        try:
            self._tally.count_records(job, ledger)
            if job.is_finished and (isinstance(ledger, LedgerMissing) or _is_told(job, ledger)):
                self._roster.close(job.uid)
            # While a write is under way the next one waits, and then tells what is true by then.
            if job.uid not in self._writing and self._reporter.is_due(job, step.status, now=self._now()):
                writing = asyncio.create_task(self._report(job, step))
                self._writing[job.uid] = writing
                writing.add_done_callback(lambda _: self._writing.pop(job.uid, None))
        except Exception:  # As above.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("job not told of", job=f"{job.namespace}/{job.name}")

    async def _report(self, job: PredictionJob, step: JobStep) -> None:
        try:
            async with self._news if says_something_new(job.status, step.status) else self._counts:
                await self._reporter.report(job, step.status, now=self._now())
        except Exception:  # As above.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("job not reported", job=f"{job.namespace}/{job.name}")

    def _view(self, job: PredictionJob, ledgers: Mapping[str, Ledger], pools: Pools) -> JobView:
        known = pools.get(job.namespace, {})
        return JobView(
            job=job,
            ledger=ledgers.get(job.uid, LedgerMissing()),
            pool=known.get(job.worker_pool_name),
            pool_names=tuple(known),
            publish_trouble=self._executor.publish_trouble(job.uid),
            pace=self._paces.get(job.uid),
        )

    def _now(self) -> float:
        return self._context.clock.now().timestamp()


def _has_ledger(job: PredictionJob) -> bool:
    """Tell whether the ledger is to be read: of a job that has ended only to see who was told of it."""
    return not job.is_finished or bool(job.notifications)


def _is_told(job: PredictionJob, ledger: Ledger) -> bool:
    return isinstance(ledger, LedgerReading) and has_told_all(job, ledger)


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
        await asyncio.sleep(max(0.05, loop.pause_seconds() - elapsed))
