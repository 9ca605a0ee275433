"""Keep what is remembered of a drain in step with what is seen."""

from dataclasses import replace
from typing import Final

from millrace_operator.decision.drain_memory import DrainMemory, Victim
from millrace_operator.decision.drain_scene import Scene
from millrace_operator.decision.drained import listen
from millrace_operator.model.reading import QueueReading

REARMED_SECONDS: Final = 60.0
"""Within that time the watch shows that an annotation was removed."""


def follow(memory: DrainMemory, scene: Scene) -> DrainMemory:
    """Take in the pods, the heartbeats and the queue of this moment."""
    live = {pod.uid: pod for pod in scene.live}
    busy = {pod.uid: scene.now for pod in scene.live if (worker := scene.worker(pod)) and not worker.is_idle}
    memory = replace(
        memory,
        rearmed={
            uid: at
            for uid, at in memory.rearmed.items()
            if uid in live and live[uid].draining_since is not None and scene.now - at < REARMED_SECONDS
        },
        avoid={uid: until for uid, until in memory.avoid.items() if uid in live and until > scene.now},
        last_busy={uid: at for uid, at in memory.last_busy.items() if uid in live} | busy,
        deaf_until=memory.deaf_until if memory.deaf_until and memory.deaf_until > scene.now else None,
        missing_since=(memory.missing_since or scene.now) if len(scene.live) < scene.state.asked else None,
        queue_quiet_since=_quiet_since(memory, scene),
    )
    return replace(memory, victims=_victims(memory, scene))


def _victims(memory: DrainMemory, scene: Scene) -> dict[str, Victim]:
    victims: dict[str, Victim] = {}
    for pod in scene.live:
        known = memory.victims.get(pod.uid)
        if known is None and pod.draining_since is not None and pod.uid not in memory.rearmed:
            # The operator that wrote this is gone; how far it came is not known.
            known = Victim(uid=pod.uid, pod=pod.name, since=pod.draining_since, is_adopted=True)
        if known is not None:
            victims[pod.uid] = listen(known, scene.worker(pod))
    return victims


def _quiet_since(memory: DrainMemory, scene: Scene) -> float | None:
    reading = scene.reading
    is_quiet = isinstance(reading, QueueReading) and reading.tasks == 0
    if not is_quiet or any(not worker.is_idle for worker in scene.heard.values()):
        return None
    return scene.now if memory.queue_quiet_since is None else memory.queue_quiet_since
