"""Make decisions true: more replicas at once in one write, fewer by draining."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from millrace_operator.actuation.scale import scale
from millrace_operator.decision.drain_memory import DrainEnd, RemovedState
from millrace_operator.model.decision import Reason, ScaleOutcome, ScalingDecision
from millrace_operator.model.obstacle import ObstacleReason
from millrace_operator.model.pool_state import PoolState
from millrace_operator.pools.case import Case
from millrace_operator.pools.chores import Chores, wait_for
from millrace_operator.pools.ports import PoolLoopContext
from millrace_operator.reporting.report import Announcement, Drained

MOST_AT_A_TIME: Final = 256


class Actor:
    """Acts on pools, one action a pool at a time."""

    def __init__(self, context: PoolLoopContext) -> None:
        self._context = context
        self._chores = Chores(most=MOST_AT_A_TIME)

    async def act(self, cases: list[Case], *, now: float, patience_seconds: float) -> None:
        """Do what the decisions ask for; what takes longer than the patience goes on while the others do, too."""
        for case in cases:
            state, decision = case.state, case.decision or _hold(case)
            if state is None or decision is None or self._chores.is_busy(case.pool.uid):
                continue
            if case.memory.writes.has_truce(now):
                decision = replace(decision, is_binding=False)
            if self._has_to_act(case, state, decision) and self._chores.room > 0:
                self._chores.begin(case.pool.uid, self._act(case, state, decision, now))
            elif decision.replicas == state.asked:
                case.memory.scaling_error = ""
        await wait_for(self._chores, patience_seconds)

    def release(self, case: Case, *, now: float) -> None:
        """Forget a pool that is gone; pods that were to go and are still there take tasks again."""
        state, hold = case.state, _hold(case)
        if state is None or hold is None or not self._drains(case, state, hold) or self._chores.is_busy(case.pool.uid):
            self._context.drainer.forget(case.pool.uid)
        else:
            self._chores.begin(case.pool.uid, self._give_back(case, state, hold, now))

    def _has_to_act(self, case: Case, state: PoolState, decision: ScalingDecision) -> bool:
        return (decision.is_binding and decision.replicas != state.asked) or self._drains(case, state, decision)

    def _drains(self, case: Case, state: PoolState, decision: ScalingDecision) -> bool:
        is_too_many = decision.is_binding and decision.replicas < state.asked
        return is_too_many or state.draining > 0 or self._context.drainer.is_draining(case.pool.uid)

    async def _act(self, case: Case, state: PoolState, decision: ScalingDecision, now: float) -> None:
        drains = self._drains(case, state, decision)
        if decision.is_binding and decision.replicas > state.asked:
            outcome = await scale(
                self._context.kubernetes,
                namespace=case.pool.namespace,
                deployment=case.pool.deployment,
                asked=state.asked,
                decision=decision,
            )
            if outcome.is_changed:
                case.memory.starts.ask(pods=outcome.current - outcome.previous, at=now)
            self._note(case, outcome)
            state = replace(state, asked=outcome.current)
        if drains:
            await self._drain(case, state, decision, now)

    async def _give_back(self, case: Case, state: PoolState, hold: ScalingDecision, now: float) -> None:
        try:
            await self._drain(case, state, hold, now)
        finally:
            self._context.drainer.forget(case.pool.uid)

    async def _drain(self, case: Case, state: PoolState, decision: ScalingDecision, now: float) -> None:
        workers = {worker.node: worker for worker in case.workers}
        report = await self._context.drainer.step(
            case.pool,
            state=state,
            pods=case.pods,
            workers=workers,
            reading=case.reading,
            decision=decision,
            now=now,
        )
        acted = case.memory.acted
        acted.drained = Drained(
            holds=report.holds,
            removed=_sum(acted.drained.removed, report.removed),
            ended=_sum(acted.drained.ended, report.ended),
        )
        acted.news.extend(
            Announcement(type=each.type, reason=each.reason, message=each.message) for each in report.news
        )
        if report.outcome.is_changed or report.outcome.error:
            self._note(case, report.outcome)

    def _note(self, case: Case, outcome: ScaleOutcome) -> None:
        # Now, not when the pass began: the watch is as late as the write was slow.
        case.memory.writes.note(outcome, now=self._context.clock.now().timestamp())
        case.memory.acted.outcome = outcome
        case.memory.scaling_error = outcome.error


def _hold(case: Case) -> ScalingDecision | None:
    """Hold a pool that nobody decides for: what drains is given back. Not where another pool has the Deployment."""
    if case.state is None or (case.obstacle and case.obstacle.reason is ObstacleReason.WORKLOAD_SHARED):
        return None
    return ScalingDecision(
        replicas=case.state.asked, reason=Reason.PAUSED, message="It is left alone.", is_binding=False
    )


def _sum(one: Mapping[str, int], other: Mapping[RemovedState, int] | Mapping[DrainEnd, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter({key.value: count for key, count in other.items()}))
