"""One pass of the pool loop: what is seen, decided, written and told, for all pools together."""

from collections.abc import Sequence
from typing import Final

import structlog

from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.decision.decide import recall
from millrace_operator.decision.schedules import mistakes
from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.model.reading import Blindness, Unknown
from millrace_operator.pools.acting import Actor
from millrace_operator.pools.budget_telling import BudgetTeller
from millrace_operator.pools.case import Case
from millrace_operator.pools.chores import Chores
from millrace_operator.pools.memory import Acted, PoolMemory
from millrace_operator.pools.pace import Pace
from millrace_operator.pools.pods import state_of
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.pools.sight import Sight, heard_in, look
from millrace_operator.pools.sizing import assess_case, settle_case, share_budgets
from millrace_operator.pools.snapshot import Snapshot, Snapshots
from millrace_operator.pools.telling import Teller
from millrace_operator.reporting import metrics
from millrace_operator.reporting.report import Announcement, PoolReport

log = structlog.get_logger("millrace.pools")
WAITS: Final = "waits"
MOST_FOR_ACTING_SECONDS: Final = 0.5
"""How long a pass waits for replicas to be written, so that it can tell what became of it; then that goes on."""
NOT_READ = Unknown(reason=Blindness.NOT_YET_READ, message="the queue was not read")


class PoolPass:
    """Runs passes and remembers from one to the next."""

    def __init__(self, context: PoolLoopContext) -> None:
        self._context = context
        self._snapshots = Snapshots(default_idle_seconds=context.settings.idle_seconds)
        self._memories: dict[str, PoolMemory] = {}
        self._cases: dict[str, Case] = {}
        """Of the last pass."""
        self._actor = Actor(context)
        self._teller = Teller(context)
        self._budget_teller = BudgetTeller(context)
        self._waits = Chores(most=1)

    async def run(self) -> None:
        """Observe, decide, actuate and report, once for all pools; what is told goes on in the pause after it."""
        context, clock = self._context, self._context.clock
        pace = Pace(began=clock.monotonic_seconds(), pass_seconds=context.settings.pool_loop_seconds)
        snapshot = self._snapshots.take(
            worker_pools=context.worker_pools(),
            deployments=context.deployments(),
            pods=context.pods(),
            budgets=context.capacity_budgets(),
        )
        self._forget_others(snapshot, context.clock.now().timestamp())
        sight = await look(context, snapshot, horizon_seconds=self._longest_cold_start())
        now = sight.now
        cases = [self._see(pool, snapshot, sight) for pool in snapshot.pools]
        self._cases = {case.pool.uid: case for case in cases}
        cases = [case for case in cases if self._is_assessed(case, now)]
        shared = share_budgets(cases, snapshot.budgets)
        for case in cases:
            settle_case(case, shared)
        patience = pace.patience(most=MOST_FOR_ACTING_SECONDS, now=clock.monotonic_seconds())
        await self._actor.act(cases, now=now, patience_seconds=patience)
        reports = [(self._report(case, now), case.memory) for case in cases]
        self._teller.tell(reports, snapshot.bodies, now=now)
        self._budget_teller.tell(shared, now=now)
        self._tell_waits([report for report, _ in reports], now)
        self._show(cases)

    def _tell_waits(self, reports: Sequence[PoolReport], now: float) -> None:
        # In the background: a Redis that is slow must not delay the next decision.
        if self._waits.room > 0:
            self._waits.begin(WAITS, self._context.waits.show(reports, now=now))

    def _see(self, pool: WorkerPool, snapshot: Snapshot, sight: Sight) -> Case:
        """Put together what is known of a pool."""
        memory = self._memories.get(pool.uid)
        if memory is None:
            memory = PoolMemory(pool=pool.key, began_at=sight.now, decisions=recall(pool.status))
            self._memories[pool.uid] = memory
            metrics.meet_pool(pool.key)
        pods, workload = snapshot.pods_of(pool), snapshot.workload_of(pool)
        state = None
        if workload is not None:
            cold_starts = memory.starts.look(pods, sight.workers, is_listening=sight.is_listening, now=sight.now)
            self._notice_others(memory, workload.asked, workload.replicas_manager, sight.now)
            asked = memory.writes.asked(workload.asked, now=sight.now)
            state = state_of(workload, pods, sight.workers, asked=asked, cold_starts=cold_starts)
        return Case(
            pool=pool,
            memory=memory,
            pods=pods,
            workers=heard_in(snapshot, pool, sight.workers),
            reading=sight.readings.get(pool.key, NOT_READ),
            outlook=sight.outlooks.get(pool.queue, ()),
            held_back=self._context.held_back.of(pool.key),
            inference=sight.loads.get(pool.key),
            state=state,
            obstacle=snapshot.obstacles.get(pool.key),
        )

    def _notice_others(self, memory: PoolMemory, asked: int, manager: str, now: float) -> None:
        said = memory.writes.look(asked, manager=manager, now=now)
        if said:
            memory.truce = said
            memory.acted.news.append(Announcement(type="Warning", reason="ReplicasChangedByOther", message=said))

    def _is_assessed(self, case: Case, now: float) -> bool:
        """Say what a pool wants; a defect that one pool brings to light must not keep the others from being sized."""
        try:
            assess_case(case, now=now)
        except Exception:
            metrics.count_loop_failure("pools")
            if not case.memory.is_broken:
                log.exception("a pool keeps its size because of a defect; please report it", pool=case.pool.name)
            case.memory.is_broken = True
            return False
        case.memory.is_broken = False
        return True

    def _report(self, case: Case, now: float) -> PoolReport:
        memory, state = case.memory, case.state
        # Taken, not copied: what goes on in the background belongs to the next report.
        acted, memory.acted = memory.acted, Acted()
        asked = state.asked if state else 0
        outcome = acted.outcome or ScaleOutcome(previous=asked, current=asked, error=memory.scaling_error)
        return PoolReport(
            pool=case.pool,
            reading=case.reading,
            state=state,
            obstacle=case.obstacle,
            decision=case.decision,
            outcome=outcome if case.decision else None,
            waits=case.assessment.waits if case.assessment else (),
            workers_heard=sum(not worker.is_offline for worker in case.workers),
            drained=acted.drained,
            news=tuple(acted.news),
            truce=memory.truce if memory.writes.has_truce(now) else "",
            mistakes=mistakes(case.pool.policy.schedules) if case.pool.policy.schedules else (),
        )

    def _show(self, cases: list[Case]) -> None:
        blind = sum(isinstance(case.reading, Unknown) for case in cases)
        if blind:
            metrics.count_observation_failure("queue", blind)
        metrics.gauges.beat_is_ticking = self._context.future.is_beat_ticking

    def _longest_cold_start(self) -> float:
        starts = (memory.decisions.cold_start_seconds for memory in self._memories.values() if memory.decisions)
        return max(filter(None, starts), default=0.0)

    def _forget_others(self, snapshot: Snapshot, now: float) -> None:
        for uid in self._memories.keys() - snapshot.bodies.keys():
            gone = self._memories.pop(uid)
            if (case := self._cases.pop(uid, None)) is not None:
                self._actor.release(case, now=now)
            if all(pool.key != gone.pool for pool in snapshot.pools):
                metrics.forget_pool(gone.pool)
