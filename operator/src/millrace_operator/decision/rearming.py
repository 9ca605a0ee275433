"""Which victims go back to work: the load came back, a drain took too long, or nobody answered."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from millrace_operator.decision.drain_memory import DrainEnd, DrainMemory, News, Target, Victim
from millrace_operator.decision.drain_scene import Scene
from millrace_operator.decision.victims import idle_pods, unstartable_pods
from millrace_operator.model.reading import Unknown

RETRY_SECONDS: Final = 3.0
"""A command that nobody answered is sent again after so long."""
ANSWERS_AWAITED: Final = 3
"""A worker that leaves so many commands or questions unanswered is left alone."""
MOST_DOUBLINGS: Final = 6
"""Of the time between two commands to a worker that does not answer: they end three minutes apart."""
BUSY_VICTIM_SECONDS: Final = 5.0
"""A victim that still works after so long gives its place to a pod that is idle now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """Who goes back to work now."""

    targets: tuple[Target, ...] = ()
    news: tuple[News, ...] = ()
    ended: dict[DrainEnd, int] = field(default_factory=dict)


def choose_returns(memory: DrainMemory, scene: Scene) -> tuple[DrainMemory, Returns]:
    """Choose who goes back to work, and repeat it to those that did not answer."""
    unanswered = [victim for victim in _draining(memory) if _is_unanswered(victim, scene.now)]
    late = [victim for victim in _draining(memory) if victim not in unanswered and _is_late(victim, scene)]
    given_up = {victim.uid for victim in (*unanswered, *late)}
    surplus = _surplus([victim for victim in _draining(memory) if victim.uid not in given_up], memory, scene)
    memory = _note(memory, scene, unanswered=unanswered, late=late, surplus=surplus)
    due = [victim for victim in memory.victims.values() if _is_due(victim, scene)]
    targets = [target for victim in due if (target := _target(victim, scene))]
    victims = dict(memory.victims)
    for victim in (victims[target.pod.uid] for target in targets):
        victims[victim.uid] = replace(victim, rearm_sent_at=scene.now, rearms_sent=victim.rearms_sent + 1)
    ended = {DrainEnd.REARMED: len(surplus), DrainEnd.TIMED_OUT: len(given_up)}
    return replace(memory, victims=victims), Returns(
        targets=tuple(targets),
        news=tuple(_news(scene, unanswered=unanswered, late=late, surplus=surplus)),
        ended={end: number for end, number in ended.items() if number},
    )


def is_deaf(victim: Victim) -> bool:
    """Tell whether a worker does not even answer that it takes tasks again, as one without remote control."""
    return victim.is_rearming and victim.rearms_sent > ANSWERS_AWAITED


def _draining(memory: DrainMemory) -> list[Victim]:
    return [victim for victim in memory.victims.values() if not victim.is_rearming]


def _is_unanswered(victim: Victim, now: float) -> bool:
    if victim.cancelled_at is not None or victim.cancel_sent_at is None:
        return victim.questions_unanswered >= ANSWERS_AWAITED
    return victim.cancels_sent >= ANSWERS_AWAITED and now - victim.cancel_sent_at >= RETRY_SECONDS


def _is_late(victim: Victim, scene: Scene) -> bool:
    return scene.now - victim.since > scene.policy.drain_timeout_seconds


def _surplus(draining: list[Victim], memory: DrainMemory, scene: Scene) -> list[Victim]:
    if isinstance(scene.reading, Unknown) and not scene.gives_back:
        return []
    # Pods beyond what is asked for are on their way out already, and Kubernetes takes the drained ones.
    doomed = max(0, len(scene.live) - scene.state.asked)
    wanted = scene.room - scene.nameless + doomed
    draining = sorted(draining, key=lambda victim: (victim.since, victim.uid))
    kept, surplus = draining[:wanted], draining[wanted:]
    return surplus + _replaceable(kept, memory, scene, need=wanted - len(kept))


def _replaceable(kept: list[Victim], memory: DrainMemory, scene: Scene, *, need: int) -> list[Victim]:
    """List victims that are worse than pods that could go in their place: those that cannot start, and idle ones."""
    uids = {pod.uid for pod in scene.live if pod.is_ready}
    spare_unstartable = len(unstartable_pods(scene, memory)) - need
    for_unstartable = [victim for victim in reversed(kept) if victim.uid in uids][: max(0, spare_unstartable)]
    busy = [victim for victim in kept if _keeps_working(victim, scene) and victim not in for_unstartable]
    spare_idle = len(idle_pods(scene, memory)) - max(0, -spare_unstartable)
    return for_unstartable + busy[: max(0, spare_idle)]


def _keeps_working(victim: Victim, scene: Scene) -> bool:
    worker = scene.heard.get(victim.pod)
    if worker is None or worker.is_idle or victim.cancelled_at is None:
        return False
    return scene.now - victim.cancelled_at >= BUSY_VICTIM_SECONDS


def _note(
    memory: DrainMemory, scene: Scene, *, unanswered: list[Victim], late: list[Victim], surplus: list[Victim]
) -> DrainMemory:
    until = scene.now + scene.policy.drain_timeout_seconds
    returning = {victim.uid for victim in (*unanswered, *late, *surplus)}
    is_deaf = bool(unanswered) and not any(victim.cancelled_at for victim in memory.victims.values())
    return replace(
        memory,
        avoid={**memory.avoid, **{victim.uid: until for victim in (*unanswered, *late)}},
        deaf_until=until if is_deaf else memory.deaf_until,
        victims={
            # Due at once: nothing was sent yet.
            uid: replace(victim, rearm_sent_at=scene.now - RETRY_SECONDS) if uid in returning else victim
            for uid, victim in memory.victims.items()
        },
    )


def _is_due(victim: Victim, scene: Scene) -> bool:
    # Each command that nobody answers takes the time of others: a worker that stays silent is told ever more rarely.
    doublings = min(max(0, victim.rearms_sent - ANSWERS_AWAITED), MOST_DOUBLINGS)
    return victim.rearm_sent_at is not None and scene.now - victim.rearm_sent_at >= RETRY_SECONDS * 2**doublings


def _target(victim: Victim, scene: Scene) -> Target | None:
    pod = next(pod for pod in scene.live if pod.uid == victim.uid)
    worker = scene.worker(pod)
    if victim.cancel_sent_at is None and not victim.is_adopted:
        return Target(pod=pod, nodes=())
    # A worker that was told to stop must be told to begin; one that is silent is waited for.
    return Target(pod=pod, nodes=worker.nodes) if worker else None


def _news(scene: Scene, *, unanswered: list[Victim], late: list[Victim], surplus: list[Victim]) -> Iterable[News]:
    if unanswered:
        yield News(
            type="Warning",
            reason="WorkersDoNotAnswer",
            message=f"Not drained, because their workers do not answer: {_names(unanswered)}. "
            "Workers need remote control (worker_enable_remote_control) on the broker that the operator uses.",
        )
    if late:
        yield News(
            type="Warning",
            reason="DrainTimedOut",
            message=f"Still at work after {scene.policy.drain_timeout_seconds:g} s (spec.drain.timeoutSeconds): "
            f"{_names(late)}. They take tasks again; other pods are tried.",
        )
    if surplus:
        message = f"They take tasks again, as fewer pods are to go: {_names(surplus)}."
        yield News(type="Normal", reason="DrainEnded", message=message)


def _names(victims: list[Victim]) -> str:
    return ", ".join(sorted(victim.pod for victim in victims))
