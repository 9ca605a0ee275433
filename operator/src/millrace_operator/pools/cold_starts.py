"""Measure cold starts: from the decision that asked for a pod to the first heartbeat of its worker."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from millrace_operator.model.pool_state import Pod
from millrace_operator.pools.pods import WorkersByPod, workers_of

CREATION_LIMIT_SECONDS: Final = 60.0
"""A pod that appears later was asked for by something else, such as an eviction."""
SILENCE_SECONDS: Final = 15.0
"""A pod that is ready for so long without a heartbeat has a worker that sends none; being ready counts instead."""
_CLOCK_STEP_SECONDS: Final = 1.0
"""Objects carry whole seconds, cut off."""


@dataclass(slots=True)
class _Ask:
    at: float
    pods: int


@dataclass(slots=True)
class Starts:
    """The starts of one pool's pods; each is counted once, and those that were there before us never."""

    _known: frozenset[str] | None = None
    _pods: tuple[Pod, ...] = ()
    _asked: deque[_Ask] = field(default_factory=lambda: deque(maxlen=32))
    _waiting: dict[str, float] = field(default_factory=dict)
    """By uid of a pod that was not heard yet: when it was asked for."""

    def ask(self, *, pods: int, at: float) -> None:
        """Remember that this many pods were asked for."""
        self._asked.append(_Ask(at, pods))

    def look(
        self, pods: tuple[Pod, ...], workers: WorkersByPod, *, is_listening: bool, now: float
    ) -> tuple[float, ...]:
        """Return the seconds of the starts that ended since the last look."""
        if pods != self._pods or self._known is None:
            self._meet(pods)
        if not self._waiting:
            return ()
        if not is_listening:
            # The first heartbeat of a start that nobody listened to is not the first.
            self._waiting.clear()
            return ()
        ended = {}
        for pod in pods:
            asked_at = self._waiting.get(pod.uid)
            moment = None if asked_at is None else _end_of_start(pod, workers, now=now)
            if asked_at is not None and moment is not None:
                ended[pod.uid] = max(0.0, moment - asked_at)
        for uid in ended:
            del self._waiting[uid]
        return tuple(ended.values())

    def _meet(self, pods: tuple[Pod, ...]) -> None:
        uids = frozenset(pod.uid for pod in pods)
        if self._known is not None:
            new = [pod for pod in pods if pod.uid not in self._known and not pod.is_terminating]
            for pod in sorted(new, key=lambda each: each.created_at):
                self._waiting[pod.uid] = self._asked_at(pod)
        for uid in self._waiting.keys() - uids:
            del self._waiting[uid]
        self._known, self._pods = uids, pods

    def _asked_at(self, pod: Pod) -> float:
        while self._asked and (self._asked[0].pods <= 0 or pod.created_at - self._asked[0].at > CREATION_LIMIT_SECONDS):
            self._asked.popleft()
        if not self._asked or self._asked[0].at >= pod.created_at + _CLOCK_STEP_SECONDS:
            return pod.created_at
        self._asked[0].pods -= 1
        return self._asked[0].at


def _end_of_start(pod: Pod, workers: WorkersByPod, *, now: float) -> float | None:
    first = min((worker.first_heard_at for worker in workers_of(pod, workers)), default=None)
    if first is not None or pod.ready_since is None:
        return first
    return pod.ready_since if now - pod.ready_since >= SILENCE_SECONDS else None
