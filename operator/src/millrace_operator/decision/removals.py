"""Lower replicas, and see afterwards which pods that took."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from millrace_operator.decision.drain_memory import (
    DrainEnd,
    DrainMemory,
    DrainPlan,
    News,
    Removal,
    RemovedState,
    Victim,
)
from millrace_operator.decision.drain_scene import Scene
from millrace_operator.decision.drained import is_confirmed_by_broker, is_drained, is_harmless, is_starting
from millrace_operator.decision.rearming import RETRY_SECONDS
from millrace_operator.decision.victims import rank, rank_at_worst
from millrace_operator.model.pool_state import Pod

DELETION_COST: Final = -100
UNSEEN_WRITE_SECONDS: Final = 3.0
"""How long the watch may need to show a write of ours."""
PATIENCE_SECONDS: Final = 30.0
"""Kubernetes acts within a second; after so long it is not waited for."""


def plan_removal(scene: Scene, memory: DrainMemory) -> tuple[tuple[Pod, ...], Removal | None]:
    """Find the pods that may go now, and the replicas to write for them."""
    chosen = _ripe(scene, memory)
    replicas = scene.state.asked - scene.nameless - len(chosen)
    if replicas == scene.state.asked:
        return (), None
    victims = {pod.uid: _state(pod, scene, memory) for pod in chosen}
    return chosen, _removal(scene, memory, replicas=replicas, victims=victims)


def removal_of_idle_pool(scene: Scene, memory: DrainMemory) -> Removal:
    """Lower a pool to what it should have when all of it is idle: whichever pods go."""
    return _removal(scene, memory, replicas=scene.desired, victims={})


def deletion_cost(scene: Scene, chosen: tuple[Pod, ...]) -> int:
    """Find a cost below that of every pod that stays."""
    uids = {pod.uid for pod in chosen}
    return min([0, *(pod.deletion_cost for pod in scene.live if pod.uid not in uids)]) + DELETION_COST


def verify(memory: DrainMemory, scene: Scene) -> tuple[DrainMemory, DrainPlan]:
    """See which pods are gone since replicas were lowered; until Kubernetes has acted, the removal stays pending."""
    removal = memory.removal
    if removal is None or not _has_acted(removal, scene):
        return memory, DrainPlan()
    live = {pod.uid for pod in scene.live}
    victims = [uid for uid in removal.victims if uid not in live]
    others = [uid for uid in removal.others if uid not in live]
    # More than were to go: those were lost in another way, and would be gone without us too.
    instead = others[: max(0, removal.expected - len(victims))]
    removed = Counter([removal.victims[uid] for uid in victims] + [removal.others[uid] for uid in instead])
    plan = DrainPlan(
        removed=dict(removed),
        ended={DrainEnd.REMOVED: len(victims)} if victims else {},
        news=tuple(_wrong_pod(removal, uid) for uid in instead if _is_wrong(removal, uid)),
    )
    remaining = {uid: victim for uid, victim in memory.victims.items() if uid in live}
    return replace(memory, removal=None, victims=remaining), plan


def _ripe(scene: Scene, memory: DrainMemory) -> tuple[Pod, ...]:
    victims = [(pod, memory.victims[pod.uid]) for pod in scene.live if pod.uid in memory.victims]
    asked = [(pod, victim) for pod, victim in victims if not _is_doubted(victim, scene.now)]
    drained = [pod for pod, victim in asked if is_drained(victim, pod, scene=scene, memory=memory)]
    uids = frozenset(pod.uid for pod in drained)
    if not is_confirmed_by_broker(uids, scene=scene, memory=memory):
        drained = [pod for pod in drained if is_harmless(pod, scene=scene, memory=memory)]
    limit = scene.room - scene.nameless
    ripe = {pod.uid for pod in drained}
    # Kubernetes would take such a pod first, whatever another one costs.
    blocking = [rank_at_worst(pod, now=scene.now) for pod in scene.live if pod.uid not in ripe]
    return tuple(sorted((pod for pod in drained if rank(pod) <= min(blocking, default=rank(pod))), key=rank)[:limit])


def _is_doubted(victim: Victim, now: float) -> bool:
    # It is not waited for: the others go, and it is asked again a little later.
    return victim.doubted_at is not None and now - victim.doubted_at < RETRY_SECONDS


def _state(pod: Pod, scene: Scene, memory: DrainMemory) -> RemovedState:
    return RemovedState.STARTING if is_starting(pod, scene=scene, memory=memory) else RemovedState.IDLE


def _state_of_other(pod: Pod, scene: Scene, memory: DrainMemory, *, is_idle_pool: bool) -> RemovedState:
    worker = scene.worker(pod)
    if worker is not None and not worker.is_idle:
        return RemovedState.BUSY
    state = _state(pod, scene, memory)
    return RemovedState.OTHER if state is RemovedState.IDLE and not is_idle_pool else state


def _removal(scene: Scene, memory: DrainMemory, *, replicas: int, victims: Mapping[str, RemovedState]) -> Removal:
    others = (pod for pod in scene.live if pod.uid not in victims)
    return Removal(
        previous=scene.state.asked,
        replicas=replicas,
        since=scene.now,
        victims=victims,
        others={pod.uid: _state_of_other(pod, scene, memory, is_idle_pool=not victims) for pod in others},
        names={pod.uid: pod.name for pod in scene.live},
        expected=max(0, len(scene.live) - replicas),
    )


def _has_acted(removal: Removal, scene: Scene) -> bool:
    waited = scene.now - removal.since
    asked = scene.state.asked
    if waited > PATIENCE_SECONDS:
        return True
    if asked > removal.replicas:
        # Either the watch does not show our write yet, or somebody raised replicas again.
        return asked != removal.previous or waited > UNSEEN_WRITE_SECONDS
    live = {pod.uid for pod in scene.live}
    gone = sum(1 for uid in (*removal.victims, *removal.others) if uid not in live)
    return gone >= removal.expected


def _is_wrong(removal: Removal, uid: str) -> bool:
    return removal.others[uid] in {RemovedState.BUSY, RemovedState.OTHER}


def _wrong_pod(removal: Removal, uid: str) -> News:
    kept = ", ".join(sorted(removal.names[victim] for victim in removal.victims)) or "another"
    did = "ran a task and gives it back or ends it first" if removal.others[uid] is RemovedState.BUSY else "was idle"
    return News(
        type="Warning",
        reason="OtherPodRemoved",
        message=f"Kubernetes removed pod {removal.names[uid]}, which {did}; drained for it was {kept}.",
    )
