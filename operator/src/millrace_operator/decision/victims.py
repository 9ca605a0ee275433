"""Which pods go next: in the order in which Kubernetes would take them, and never one that is known to work.

Kubernetes takes pods without a node first, then pending ones, then those that are not ready, and only then looks at the
deletion cost. So no ready pod can be chosen past one that is not ready.
"""

from typing import Final

from millrace_operator.decision.drain_memory import DrainMemory
from millrace_operator.decision.drain_scene import Scene
from millrace_operator.decision.drained import is_harmless, is_starting
from millrace_operator.model.pool_state import Pod

MISSING_SECONDS: Final = 10.0
"""Kubernetes makes pods within a second or two, or, where a quota or a webhook refuses them, not at all."""
READY_UNSEEN_SECONDS: Final = 2.0
"""How much later than this operator the controller that removes pods may see that one is ready."""
CONSOLIDATE_AFTER_SECONDS: Final = 15.0
"""All pods may be a little busy for ever (several slots, or a budget that gives less than the load needs)."""


def rank(pod: Pod) -> tuple[bool, bool, bool]:
    """Tell when Kubernetes takes a pod; only of pods of one rank the deletion cost says which goes first."""
    return (not pod.is_unschedulable, not pod.is_pending, pod.is_ready)


def rank_at_worst(pod: Pod, *, now: float) -> tuple[bool, bool, bool]:
    """Tell when Kubernetes takes a pod if it does not know yet that the pod is ready."""
    is_settled = pod.ready_since is None or now - pod.ready_since > READY_UNSEEN_SECONDS
    return rank(pod) if is_settled else (*rank(pod)[:2], False)


def is_waiting_for_pods(scene: Scene, memory: DrainMemory) -> bool:
    """Tell whether pods that were asked for are about to appear: if lowered now, Kubernetes removes those."""
    if memory.missing_since is None:
        return False
    newest = max((pod.created_at for pod in scene.live), default=memory.missing_since)
    return scene.now - max(newest, memory.missing_since) <= MISSING_SECONDS


def starting_pods(scene: Scene, memory: DrainMemory) -> list[Pod]:
    """List pods whose workers will come up: nobody can tell them yet to take no task."""
    starting = (pod for pod in scene.live if is_starting(pod, scene=scene, memory=memory))
    up_soon = (pod for pod in starting if not is_harmless(pod, scene=scene, memory=memory))
    return [pod for pod in up_soon if pod.uid not in memory.victims]


def unstartable_pods(scene: Scene, memory: DrainMemory) -> list[Pod]:
    """List pods in which nothing runs nor will, in Kubernetes' order; of equals the youngest first."""
    found = [pod for pod in scene.live if is_harmless(pod, scene=scene, memory=memory)]
    found.sort(key=lambda pod: (rank(pod), -pod.created_at, pod.name))
    return [pod for pod in found if pod.uid not in memory.victims]


def idle_pods(scene: Scene, memory: DrainMemory) -> list[Pod]:
    """List pods whose worker said that nothing runs: those that are not ready, then the youngest."""
    found = [pod for pod in _heard_candidates(scene, memory) if scene.heard[pod.name].is_idle]
    return sorted(found, key=lambda pod: (pod.is_ready, -pod.created_at, pod.name))


def least_busy_pods(scene: Scene, memory: DrainMemory) -> list[Pod]:
    """List pods to empty, when none is idle for long: they finish what they have and are removed only then."""
    since = memory.nobody_idle_since
    if since is None or scene.now - since < CONSOLIDATE_AFTER_SECONDS:
        return []
    found = _heard_candidates(scene, memory)
    return sorted(found, key=lambda pod: (scene.heard[pod.name].active, -pod.created_at, pod.name))


def _heard_candidates(scene: Scene, memory: DrainMemory) -> list[Pod]:
    return [
        pod
        for pod in scene.live
        if pod.uid not in memory.victims
        and pod.name in scene.heard
        and memory.avoid.get(pod.uid, scene.now) <= scene.now
    ]
