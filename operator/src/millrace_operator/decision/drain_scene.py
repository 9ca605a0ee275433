"""What a drain is decided on: the pods of a pool with what their workers say, at one moment."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from millrace_operator.api.worker_pool import Mode, PoolPolicy
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Reading
from millrace_operator.model.worker import Worker, Workers

MISSED_HEARTBEATS: Final = 3
"""A worker that missed so many in a row says nothing about now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodWorker:
    """All workers of one pod as one: it is idle when all are, and heard as long ago as the most silent one."""

    nodes: tuple[str, ...]
    active: int
    processed: int
    heard_at: float
    first_heard_at: float

    @property
    def is_idle(self) -> bool:
        """Tell whether it ran nothing when it was last heard."""
        return self.active == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One pool at one moment."""

    desired: int
    state: PoolState
    live: tuple[Pod, ...]
    """Without those that are terminating already."""
    terminating: int
    heard: Mapping[str, PodWorker]
    """By name of the pod."""
    reading: Reading
    policy: PoolPolicy
    now: float

    @property
    def gives_back(self) -> bool:
        """Tell whether nothing may be removed at all, so that what drains goes back to work."""
        return self.policy.mode is not Mode.AUTO or self.state.is_rolling_out or self.desired > self.state.asked

    @property
    def room(self) -> int:
        """How many pods are too many."""
        return 0 if self.gives_back else self.state.asked - self.desired

    @property
    def nameless(self) -> int:
        """How many of those do not exist yet, so that no pod has to go for them."""
        return min(self.room, max(0, self.state.asked - len(self.live)))

    def worker(self, pod: Pod) -> PodWorker | None:
        """Find the workers of a pod; None where none is heard."""
        return self.heard.get(pod.name)


def look_at(
    *,
    desired: int,
    state: PoolState,
    pods: tuple[Pod, ...],
    workers: Workers,
    reading: Reading,
    policy: PoolPolicy,
    now: float,
) -> Scene:
    """Put together what is known."""
    live = tuple(pod for pod in pods if not pod.is_terminating)
    return Scene(
        desired=desired,
        state=state,
        live=live,
        terminating=len(pods) - len(live),
        heard=_by_pod(workers, now),
        reading=reading,
        policy=policy,
        now=now,
    )


def _by_pod(workers: Workers, now: float) -> dict[str, PodWorker]:
    grouped: defaultdict[str, list[Worker]] = defaultdict(list)
    for worker in workers.values():
        if not worker.is_offline and now - worker.heard_at <= MISSED_HEARTBEATS * worker.interval_seconds:
            grouped[worker.pod].append(worker)
    return {
        pod: PodWorker(
            nodes=tuple(sorted(each.node for each in group)),
            active=sum(each.active for each in group),
            processed=sum(each.processed for each in group),
            heard_at=min(each.heard_at for each in group),
            first_heard_at=max(each.first_heard_at for each in group),
        )
        for pod, group in grouped.items()
    }
