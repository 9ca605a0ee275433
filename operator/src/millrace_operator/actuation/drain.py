"""Make a smaller size true without touching a worker that works: execute what `decision.drain` plans.

The order is the protocol. The annotation comes before the cancel, so that whoever finds the pod after a restart knows
that it takes no tasks. Before a pod goes, its worker is asked once more what it holds: heartbeats are old news, and do
not count what was received and not begun. All deletion costs are answered before replicas are lowered: sent together
they pick wrong pods in half of the cases. Whatever fails is left for the next step, which begins from what is there.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from millrace_operator.actuation.kubernetes_api import KubernetesApi
from millrace_operator.actuation.pods import mark_draining, mark_for_deletion, unmark
from millrace_operator.actuation.worker_control import WorkerControl
from millrace_operator.api.worker_pool import SourceType, WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.decision.drain import after_cancel, after_lowering, after_question, after_rearm, plan_drain
from millrace_operator.decision.drain_memory import (
    DrainEnd,
    DrainMemory,
    DrainPlan,
    News,
    Removal,
    RemovedState,
    Target,
)
from millrace_operator.errors import ControlError, KubernetesError, ObjectNotFound
from millrace_operator.model.decision import ScaleOutcome, ScalingDecision
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Reading
from millrace_operator.model.worker import Workers

Thing = TypeVar("Thing")
_CHANGED_MEANWHILE: Final = frozenset({409, 422})
"""Replicas are no longer what they were: the next step begins from what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """What a step did, and what it saw to be done."""

    outcome: ScaleOutcome
    draining: int = 0
    """Pods that take no more tasks and are to go."""
    victims: tuple[str, ...] = ()
    """Their names."""
    holds: str = ""
    """Why fewer pods go than are too many: a sentence without a full stop; empty when nothing is in the way."""
    news: tuple[News, ...] = ()
    """Events of the pool: type, reason, message."""
    removed: Mapping[RemovedState, int] = field(default_factory=dict)
    """For the metric VICTIMS, by its label `state`."""
    ended: Mapping[DrainEnd, int] = field(default_factory=dict)
    """For the metric DRAINS, by its label `outcome`."""


class Drainer:
    """Drains the pods of all pools, and remembers from one step to the next."""

    def __init__(
        self, *, kubernetes: KubernetesApi, controls: Mapping[SourceType, WorkerControl], clock: Clock
    ) -> None:
        self._kubernetes = kubernetes
        self._controls = controls
        self._clock = clock
        self._memories: dict[str, DrainMemory] = {}

    async def step(
        self,
        pool: WorkerPool,
        *,
        state: PoolState,
        pods: tuple[Pod, ...],
        workers: Workers,
        reading: Reading,
        decision: ScalingDecision,
        now: float,
    ) -> DrainReport:
        """Go one step towards the decision, if that is fewer pods than there are; give back what is not to go."""
        plan, memory = plan_drain(
            desired=decision.replicas if decision.is_binding else state.asked,
            state=state,
            pods=pods,
            workers=workers,
            reading=reading,
            policy=pool.policy,
            memory=self._memories.get(pool.uid),
            now=now,
        )
        self._memories[pool.uid] = memory
        troubles = await self._tell(pool, plan, now)
        doubt = await self._doubt(pool, plan.ask)
        troubles += [doubt] if doubt else []
        outcome = await self._lower(pool, replace(plan, removal=None) if doubt else plan, state, now)
        memory = self._memories[pool.uid]
        victims = tuple(sorted(victim.pod for victim in memory.victims.values()))
        return DrainReport(
            outcome=outcome,
            draining=len(victims),
            victims=victims,
            holds=" and ".join(troubles) or plan.holds,
            news=plan.news,
            removed=plan.removed,
            ended=plan.ended,
        )

    def is_draining(self, uid: str) -> bool:
        """Tell whether pods of this pool take no tasks, or were lowered away and not yet seen to be gone."""
        memory = self._memories.get(uid)
        return memory is not None and (bool(memory.victims) or memory.removal is not None)

    def forget(self, uid: str) -> None:
        """Forget a pool; its pods keep their annotations, so that a drain can go on."""
        self._memories.pop(uid, None)

    async def close(self) -> None:
        """Close the connections."""
        for control in {id(control): control for control in self._controls.values()}.values():
            await control.close()

    async def _tell(self, pool: WorkerPool, plan: DrainPlan, now: float) -> list[str]:
        """Cancel and re-arm; answers what went wrong, in words."""
        troubles = [await self._cancel(pool, plan.cancel, now)] if plan.cancel else []
        troubles += [await self._rearm(pool, plan.rearm)] if plan.rearm else []
        return [trouble for trouble in troubles if trouble]

    async def _cancel(self, pool: WorkerPool, targets: tuple[Target, ...], now: float) -> str:
        written, trouble = await _all_of(
            targets,
            [
                mark_draining(self._kubernetes, namespace=pool.namespace, pod=target.pod.name, since=now)
                for target in targets
            ],
        )
        nodes = [node for target in written for node in target.nodes]
        try:
            answered = await self._control(pool).cancel_consumer(pool.queue, nodes)
        except ControlError as error:
            return str(error)
        uids = {target.pod.uid for target in written if answered.issuperset(target.nodes)}
        at = self._clock.now().timestamp()
        self._memories[pool.uid] = after_cancel(self._memories[pool.uid], uids, at=at)
        return trouble

    async def _rearm(self, pool: WorkerPool, targets: tuple[Target, ...]) -> str:
        nodes = [node for target in targets for node in target.nodes]
        try:
            answered = await self._control(pool).add_consumer(pool.queue, nodes)
        except ControlError as error:
            return str(error)
        at_work = tuple(target for target in targets if answered.issuperset(target.nodes))
        unmarked, trouble = await _all_of(
            at_work,
            [unmark(self._kubernetes, namespace=pool.namespace, pod=target.pod.name) for target in at_work],
        )
        uids = {target.pod.uid for target in unmarked}
        at = self._clock.now().timestamp()
        self._memories[pool.uid] = after_rearm(self._memories[pool.uid], uids, at=at)
        return trouble

    async def _doubt(self, pool: WorkerPool, targets: tuple[Target, ...]) -> str:
        """Ask those that are to go once more; answers why not all of them can, in words."""
        trouble = ""
        try:
            held = await self._control(pool).tasks_held([node for target in targets for node in target.nodes])
            doubted = {target: held.keys() >= set(target.nodes) for target in targets if not _is_empty(target, held)}
        except ControlError as error:
            trouble = str(error)
            # It is not the workers that were silent.
            doubted = dict.fromkeys(targets, True)
        uids = {target.pod.uid: has_answered for target, has_answered in doubted.items()}
        at = self._clock.now().timestamp()
        self._memories[pool.uid] = after_question(self._memories[pool.uid], uids, at=at)
        names = ", ".join(sorted(target.pod.name for target in doubted))
        return trouble or (names and f"{names} did not say that nothing is held there")

    async def _lower(self, pool: WorkerPool, plan: DrainPlan, state: PoolState, now: float) -> ScaleOutcome:
        unchanged = ScaleOutcome(previous=state.asked, current=state.asked)
        if plan.removal is None:
            return unchanged
        marked, trouble = await _all_of(
            plan.mark,
            [
                mark_for_deletion(
                    self._kubernetes, namespace=pool.namespace, pod=pod.name, since=now, cost=plan.deletion_cost
                )
                for pod in plan.mark
            ],
        )
        if len(marked) < len(plan.mark):
            # Kubernetes would take another pod in place of the one that has no mark.
            return ScaleOutcome(previous=state.asked, current=state.asked, error=trouble)
        return await self._write(pool, plan.removal, unchanged)

    async def _write(self, pool: WorkerPool, removal: Removal, unchanged: ScaleOutcome) -> ScaleOutcome:
        previous, replicas = removal.previous, removal.replicas
        try:
            await self._kubernetes.lower_deployment(
                namespace=pool.namespace, name=pool.deployment, previous=previous, replicas=replicas
            )
        except KubernetesError as error:
            if error.status in _CHANGED_MEANWHILE:
                return unchanged
            if error.status is None:
                # Nobody knows whether it was written; the pods will show it.
                self._memories[pool.uid] = after_lowering(self._memories[pool.uid], removal)
            return ScaleOutcome(previous=previous, current=previous, error=str(error))
        self._memories[pool.uid] = after_lowering(self._memories[pool.uid], removal)
        return ScaleOutcome(previous=previous, current=replicas)

    def _control(self, pool: WorkerPool) -> WorkerControl:
        return self._controls.get(pool.source.type) or self._controls[SourceType.RABBITMQ]


def _is_empty(target: Target, held: Mapping[str, int]) -> bool:
    return all(held.get(node) == 0 for node in target.nodes)


async def _all_of(things: tuple[Thing, ...], writes: Iterable[Awaitable[None]]) -> tuple[tuple[Thing, ...], str]:
    """Write at once about all of these; answers those that were written, and what went wrong first."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    trouble = ""
    for result in results:
        if isinstance(result, ObjectNotFound):
            continue  # The pod is gone, which the watch will show.
        if isinstance(result, KubernetesError):
            trouble = trouble or str(result)
        elif isinstance(result, BaseException):
            raise result
    return tuple(thing for thing, result in zip(things, results, strict=True) if result is None), trouble
