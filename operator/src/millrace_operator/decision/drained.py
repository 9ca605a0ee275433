"""When a pod holds nothing any more: what has to be seen before it may be removed.

Two independent witnesses. Its worker answered the cancel, and two heartbeats of after that say that nothing runs and
that nothing was started between them: what it had prefetched would have been. And the broker, where it counts
consumers: quorum queues go on counting a cancelled consumer until it holds no message.
"""

from dataclasses import replace
from typing import Final

from millrace_operator.decision.drain_memory import DrainMemory, Quiet, Victim
from millrace_operator.decision.drain_scene import PodWorker, Scene
from millrace_operator.model.pool_state import Pod
from millrace_operator.model.reading import QueueReading

SETTLING_SECONDS: Final = 0.5
"""A worker answers a cancel just before it acts on it."""


def is_starting(pod: Pod, *, scene: Scene, memory: DrainMemory) -> bool:
    """Tell whether a pod cannot hold a task: it is not ready, and no worker in it was heard to work."""
    if pod.is_ready or scene.worker(pod) is not None:
        return False
    # A worker that lost its broker falls silent and not ready with a task in its hands.
    busy_at = memory.last_busy.get(pod.uid)
    return busy_at is None or scene.now - busy_at > scene.policy.drain_timeout_seconds


def is_harmless(pod: Pod, *, scene: Scene, memory: DrainMemory) -> bool:
    """Tell whether a pod can be removed as it is: nothing runs in it, and nothing will before it is gone."""
    if not is_starting(pod, scene=scene, memory=memory):
        return False
    if pod.is_unschedulable or pod.is_stuck:
        return True
    # A Python that starts as process 1 ignores SIGTERM. It may come up within its grace period, take a task, and be
    # killed with it; so a pod that starts is waited for, until nobody would believe any more that it will come up.
    is_overdue = scene.now - pod.created_at > scene.policy.drain_timeout_seconds
    return is_overdue and isinstance(scene.reading, QueueReading) and scene.reading.ready == 0


def listen(victim: Victim, worker: PodWorker | None) -> Victim:
    """Take in the last heartbeat of a victim's worker."""
    if worker is None or victim.cancelled_at is None:
        return victim
    before = victim.quiet
    has_begun_anew = worker.first_heard_at > victim.cancelled_at or (before and worker.processed < before.processed)
    if has_begun_anew:
        # A container that restarted knows nothing of the cancel.
        untold = replace(victim, cancel_sent_at=None, cancels_sent=0, cancelled_at=None, quiet=None)
        return replace(untold, doubted_at=None, questions_unanswered=0)
    if worker.heard_at < victim.cancelled_at + SETTLING_SECONDS:
        return victim
    return replace(victim, quiet=_quiet(before, worker))


def _quiet(before: Quiet | None, worker: PodWorker) -> Quiet | None:
    if not worker.is_idle:
        return None
    if before is None or worker.processed != before.processed:
        return Quiet(heard_at=worker.heard_at, processed=worker.processed)
    return replace(before, is_confirmed=before.is_confirmed or worker.heard_at > before.heard_at)


def is_drained(victim: Victim, pod: Pod, *, scene: Scene, memory: DrainMemory) -> bool:
    """Tell whether a victim holds nothing, as far as its own worker can say."""
    if victim.is_rearming:
        return False
    if is_harmless(pod, scene=scene, memory=memory):
        return True
    return victim.quiet is not None and victim.quiet.is_confirmed and scene.worker(pod) is not None


def is_confirmed_by_broker(drained: frozenset[str], *, scene: Scene, memory: DrainMemory) -> bool:
    """Tell whether the broker counts no consumer of these pods, or cannot count."""
    if not isinstance(scene.reading, QueueReading) or scene.reading.consumers is None:
        return isinstance(scene.reading, QueueReading)
    others = [pod for pod in scene.live if pod.uid not in drained]
    is_anyone_consuming = any(pod.is_ready and scene.worker(pod) and pod.uid not in memory.victims for pod in others)
    if scene.reading.consumers == 0 and is_anyone_consuming:
        # What a queue without a leader says as well.
        return False
    return scene.reading.consumers <= _consumers_of(others, scene) + scene.terminating + memory.foreign_consumers


def foreign_consumers(scene: Scene) -> int:
    """Count the consumers that belong to no pod of the pool; asked before the first one is cancelled."""
    if not isinstance(scene.reading, QueueReading) or scene.reading.consumers is None:
        return 0
    return max(0, scene.reading.consumers - _consumers_of(scene.live, scene) - scene.terminating)


def _consumers_of(pods: tuple[Pod, ...] | list[Pod], scene: Scene) -> int:
    # A pod whose worker is not heard may consume all the same.
    return sum(len(worker.nodes) if (worker := scene.worker(pod)) else 1 for pod in pods)
