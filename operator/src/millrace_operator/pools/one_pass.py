"""One pass of the pool loop: what is seen, decided, written and told, for all pools together."""

import asyncio

import structlog

from millrace_contracts.resources import WORKER_POOLS
from millrace_operator.actuation.scale import scale
from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.decision.decide import decide
from millrace_operator.decision.estimation import estimate, extend
from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.reading import Blindness, Reading, Unknown
from millrace_operator.pools.memory import PoolMemory, other_writer
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.pools.snapshot import Snapshot, take_snapshot
from millrace_operator.pools.status_writes import Draft, choose, draft
from millrace_operator.reporting import metrics
from millrace_operator.reporting.events import Announcement, announce
from millrace_operator.reporting.status import PoolReport

log = structlog.get_logger("millrace.pools")
NOT_READ = Unknown(reason=Blindness.NOT_YET_READ, message="the queue was not read")


class PoolPass:
    """Runs passes and remembers from one to the next."""

    def __init__(self, context: PoolLoopContext) -> None:
        self._context = context
        self._memories: dict[str, PoolMemory] = {}

    async def run(self) -> None:
        """Observe, decide, actuate and report, once for all pools."""
        context = self._context
        snapshot = take_snapshot(
            context.worker_pools(), context.deployments(), default_idle_seconds=context.settings.idle_seconds
        )
        self._forget_others(snapshot)
        readings = await context.observer.observe(snapshot.queues)
        now = context.clock.now().timestamp()
        reports = await asyncio.gather(
            *(self._size(pool, snapshot, readings.get(pool.queue, NOT_READ), now) for pool in snapshot.pools)
        )
        chosen = self._choose_writes(reports, now)
        await asyncio.gather(*(self._report(each, snapshot, chosen.get(each.pool.uid), now) for each in reports))

    async def _size(self, pool: WorkerPool, snapshot: Snapshot, reading: Reading, now: float) -> PoolReport:
        memory = self._memories.setdefault(pool.uid, PoolMemory(pool=pool.key))
        memory.history = extend(memory.history, reading, now=now)
        state, obstacle = snapshot.state_of(pool), snapshot.obstacles.get(pool.key)
        decision, outcome = None, None
        if state is not None and obstacle is None:
            decision, memory.decisions = decide(
                policy=pool.policy, state=state, reading=reading, memory=memory.decisions, now=now
            )
            outcome = await scale(
                self._context.kubernetes,
                namespace=pool.namespace,
                deployment=pool.deployment,
                asked=state.asked,
                decision=decision,
            )
            metrics.count_decision(pool.key, decision.reason, outcome)
        return PoolReport(
            pool=pool,
            reading=reading,
            # Rates of before an outage would look like measurements of now.
            estimates=Estimates() if isinstance(reading, Unknown) else estimate(memory.history),
            state=state,
            obstacle=obstacle,
            decision=decision,
            outcome=outcome,
        )

    def _choose_writes(self, reports: list[PoolReport], now: float) -> dict[str, Draft]:
        settings = self._context.settings
        drafts = []
        for report in reports:
            memory = self._memories[report.pool.uid]
            drafts.append(draft(report, written=memory.status, written_at=memory.status_written_at, now=now))
        return choose(
            filter(None, drafts),
            pools=len(reports),
            pass_seconds=settings.pool_loop_seconds,
            interval_seconds=settings.status_interval_seconds,
            now=now,
        )

    async def _report(self, report: PoolReport, snapshot: Snapshot, status: Draft | None, now: float) -> None:
        memory = self._memories[report.pool.uid]
        self._show(report, memory)
        news, memory.told = announce(
            report,
            told=memory.told,
            blind_passes=memory.blind_passes,
            other_writer=other_writer(memory, report.state, report.outcome),
        )
        for announcement in news:
            _log(report, announcement)
        try:
            if status is not None:
                await self._write_status(report.pool, status, memory, now)
            for announcement in news:
                await self._context.kubernetes.record_event(
                    snapshot.bodies[report.pool.uid],
                    type_=announcement.type,
                    reason=announcement.reason,
                    message=announcement.message,
                    now=now,
                )
            memory.trouble = ""
        except ObjectNotFound:
            # The watch has not told us yet, or began anew and never will.
            self._context.forget_worker_pool(report.pool.uid)
        except KubernetesError as error:
            if str(error) != memory.trouble:
                log.warning("status is old until the API takes it again", pool=_name(report.pool), error=str(error))
            memory.trouble = str(error)

    def _show(self, report: PoolReport, memory: PoolMemory) -> None:
        if isinstance(report.reading, Unknown):
            memory.blind_passes += 1
            metrics.count_observation_failure("queue")
        else:
            memory.blind_passes = 0
        metrics.show_queue(report.pool.key, report.reading, report.estimates)
        metrics.show_replicas(report.pool.key, report.state, report.decision)

    async def _write_status(self, pool: WorkerPool, status: Draft, memory: PoolMemory, now: float) -> None:
        await self._context.kubernetes.patch_status(
            WORKER_POOLS, namespace=pool.namespace, name=pool.name, status=status.patch
        )
        memory.status, memory.status_written_at = status.status, now

    def _forget_others(self, snapshot: Snapshot) -> None:
        for uid in self._memories.keys() - snapshot.bodies.keys():
            gone = self._memories.pop(uid)
            if all(pool.key != gone.pool for pool in snapshot.pools):
                metrics.forget_pool(gone.pool)


def _log(report: PoolReport, announcement: Announcement) -> None:
    write = log.warning if announcement.type == "Warning" else log.info
    outcome = report.outcome or ScaleOutcome(previous=0, current=0)
    extra = {"replicas": outcome.current, "was": outcome.previous} if outcome.is_changed else {}
    write(announcement.message, pool=_name(report.pool), reason=announcement.reason, **extra)


def _name(pool: WorkerPool) -> str:
    return f"{pool.namespace}/{pool.name}"
