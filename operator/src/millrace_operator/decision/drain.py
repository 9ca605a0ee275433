"""Which pods take no more tasks, which go back to work, and which are removed now.

Only a pod that holds nothing is removed. Victims stop taking tasks first, finish what they have, and go when their own
worker and the broker agree that they are empty. New load takes them back as long as they exist. What is not known (an
unreadable queue, a silent worker, a rollout) removes nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision.drain_memory import DrainMemory, DrainPlan, News, Removal, Target, Victim
from millrace_operator.decision.drain_scene import Scene, look_at
from millrace_operator.decision.drain_watch import follow
from millrace_operator.decision.drained import foreign_consumers, is_starting
from millrace_operator.decision.rearming import RETRY_SECONDS, choose_returns, is_deaf
from millrace_operator.decision.removals import deletion_cost, plan_removal, removal_of_idle_pool, verify
from millrace_operator.decision.sentences import count
from millrace_operator.decision.victims import (
    idle_pods,
    is_waiting_for_pods,
    least_busy_pods,
    starting_pods,
    unstartable_pods,
)
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Reading, Unknown
from millrace_operator.model.worker import Workers

QUIET_SECONDS: Final = 60.0
"""How long a queue must be empty where no worker is heard and the pool names no idle time."""


def plan_drain(
    *,
    desired: int,
    state: PoolState,
    pods: tuple[Pod, ...],
    workers: Workers,
    reading: Reading,
    policy: PoolPolicy,
    memory: DrainMemory | None,
    now: float,
) -> tuple[DrainPlan, DrainMemory]:
    """Plan the next step towards `desired` pods; the same arguments always give the same answer."""
    scene = look_at(desired=desired, state=state, pods=pods, workers=workers, reading=reading, policy=policy, now=now)
    memory, seen = verify(memory or DrainMemory(), scene)
    memory = follow(memory, scene)
    if memory.removal is not None:
        return replace(seen, holds="Kubernetes removes pods"), memory
    memory, returns = choose_returns(memory, scene)
    memory, cancel, news = _cancel(memory, scene)
    mark, removal = _remove(memory, scene)
    ended = dict(seen.ended)
    for end, number in returns.ended.items():
        ended[end] = ended.get(end, 0) + number
    plan = DrainPlan(
        cancel=cancel,
        rearm=returns.targets,
        ask=tuple(Target(pod=pod, nodes=worker.nodes) for pod in mark if (worker := scene.worker(pod))),
        mark=mark,
        deletion_cost=deletion_cost(scene, mark),
        removal=removal,
        holds="" if removal else _why_not(memory, scene),
        news=(*seen.news, *returns.news, *news),
        removed=seen.removed,
        ended=ended,
    )
    return plan, memory


def after_cancel(memory: DrainMemory, answered: Collection[str], *, at: float) -> DrainMemory:
    """Remember whose workers answered that they take no more tasks; `answered` are uids of pods."""
    victims = {
        uid: replace(victim, cancelled_at=at) if uid in answered else victim for uid, victim in memory.victims.items()
    }
    return replace(memory, victims=victims)


def after_question(memory: DrainMemory, doubted: Mapping[str, bool], *, at: float) -> DrainMemory:
    """Remember which pods did not say that they hold nothing: by uid, whether they said anything."""
    victims = dict(memory.victims)
    for uid, has_answered in doubted.items():
        unanswered = 0 if has_answered else victims[uid].questions_unanswered + 1
        victims[uid] = replace(victims[uid], doubted_at=at, questions_unanswered=unanswered)
    return replace(memory, victims=victims)


def after_rearm(memory: DrainMemory, returned: Collection[str], *, at: float) -> DrainMemory:
    """Forget pods that take tasks again and carry no annotation any more."""
    victims = {uid: victim for uid, victim in memory.victims.items() if uid not in returned}
    return replace(memory, victims=victims, rearmed={**memory.rearmed, **dict.fromkeys(returned, at)})


def after_lowering(memory: DrainMemory, removal: Removal) -> DrainMemory:
    """Remember that replicas were lowered, to see afterwards which pods that took."""
    return replace(memory, removal=removal, nobody_idle_since=None)


def _cancel(memory: DrainMemory, scene: Scene) -> tuple[DrainMemory, tuple[Target, ...], tuple[News, ...]]:
    """Choose new victims, and repeat the cancel to those that did not answer."""
    if isinstance(scene.reading, Unknown):
        return memory, (), ()
    draining = [victim for victim in memory.victims.values() if not victim.is_rearming]
    if not memory.victims:
        memory = replace(memory, foreign_consumers=foreign_consumers(scene))
    memory, chosen = _choose(memory, scene, need=scene.room - scene.nameless - len(draining))
    victims = dict(memory.victims)
    for pod in chosen:
        victims[pod.uid] = Victim(uid=pod.uid, pod=pod.name, since=scene.now)
    rearmed = {uid: at for uid, at in memory.rearmed.items() if uid not in victims}
    targets = [target for pod in scene.live if (target := _untold(victims.get(pod.uid), pod, scene))]
    for target in targets:
        victim = victims[target.pod.uid]
        victims[victim.uid] = replace(victim, cancel_sent_at=scene.now, cancels_sent=victim.cancels_sent + 1)
    return replace(memory, victims=victims, rearmed=rearmed), tuple(targets), _chosen_news(chosen)


def _choose(memory: DrainMemory, scene: Scene, *, need: int) -> tuple[DrainMemory, list[Pod]]:
    if need <= 0:
        return replace(memory, nobody_idle_since=None), []
    unstartable = unstartable_pods(scene, memory)[:need]
    # No ready pod can go before those that start, which will be idle then.
    need = max(0, need - len(unstartable) - len(starting_pods(scene, memory)))
    if need == 0 or memory.deaf_until is not None:
        return memory, unstartable
    idle = idle_pods(scene, memory)[:need]
    if idle:
        return replace(memory, nobody_idle_since=None), unstartable + idle
    memory = replace(memory, nobody_idle_since=memory.nobody_idle_since or scene.now)
    return memory, unstartable + least_busy_pods(scene, memory)[:need]


def _untold(victim: Victim | None, pod: Pod, scene: Scene) -> Target | None:
    worker = scene.worker(pod)
    if victim is None or victim.is_rearming or victim.cancelled_at is not None or worker is None:
        return None
    if victim.cancel_sent_at is not None and scene.now - victim.cancel_sent_at < RETRY_SECONDS:
        return None
    return Target(pod=pod, nodes=worker.nodes)


def _chosen_news(chosen: list[Pod]) -> tuple[News, ...]:
    if not chosen:
        return ()
    names = ", ".join(sorted(pod.name for pod in chosen))
    do = (
        "takes no more tasks and goes when it holds" if len(chosen) == 1 else "take no more tasks and go when they hold"
    )
    message = f"{count(len(chosen), 'pod')} {do} none: {names}."
    return (News(type="Normal", reason="Draining", message=message),)


def _remove(memory: DrainMemory, scene: Scene) -> tuple[tuple[Pod, ...], Removal | None]:
    if isinstance(scene.reading, Unknown) or scene.room == 0 or is_waiting_for_pods(scene, memory):
        return (), None
    chosen, removal = plan_removal(scene, memory)
    if removal is None and all(map(is_deaf, memory.victims.values())) and _is_idle_pool(memory, scene):
        removal = removal_of_idle_pool(scene, memory)
    return chosen, removal


def _is_idle_pool(memory: DrainMemory, scene: Scene) -> bool:
    """Tell whether the queue alone says that nothing runs, where no worker says anything that can be used.

    A Celery app that acks its tasks early (Celery's default) and is not heard shows no running task anywhere: SIGTERM
    and the pod's grace period are then what lets it finish.
    """
    if memory.queue_quiet_since is None or not (_is_unheard(memory, scene) or memory.deaf_until is not None):
        return False
    # Which pods go is not chosen here: Kubernetes would take those that start first.
    if starting_pods(scene, memory):
        return False
    return scene.now - memory.queue_quiet_since >= _quiet_seconds(scene)


def _is_unheard(memory: DrainMemory, scene: Scene) -> bool:
    # One that does not answer is of no more use than one that is not heard.
    return not any(scene.worker(pod) for pod in scene.live if pod.uid not in memory.victims)


def _quiet_seconds(scene: Scene) -> float:
    return QUIET_SECONDS if scene.policy.idle_seconds is None else scene.policy.idle_seconds


def _why_not(memory: DrainMemory, scene: Scene) -> str:
    if scene.room == 0:
        return ""
    if isinstance(scene.reading, Unknown):
        return scene.reading.message
    if is_waiting_for_pods(scene, memory):
        return f"{count(scene.state.asked - len(scene.live), 'pod')} asked for must first be there"
    if told := sum(not is_deaf(victim) for victim in memory.victims.values()):
        return f"{count(told, 'pod')} must first hold no task"
    starting = len(starting_pods(scene, memory))
    if memory.deaf_until is not None or (not starting and _is_unheard(memory, scene)):
        why = "answers" if memory.victims or memory.deaf_until is not None else "is heard"
        return f"no worker {why}, so the queue must be empty for {_quiet_seconds(scene):g} s first"
    busy = sum(1 for pod in scene.live if (worker := scene.worker(pod)) and not worker.is_idle)
    silent = sum(1 for pod in scene.live if not scene.worker(pod) and not is_starting(pod, scene=scene, memory=memory))
    parts = [f"{count(busy, 'pod')} at work"] if busy else []
    parts += [f"{count(starting, 'pod')} still starting"] if starting else []
    parts += [f"{count(silent, 'pod')} silent"] if silent > 0 else []
    return f"only idle pods go: {', '.join(parts)}" if parts else ""
