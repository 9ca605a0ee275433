"""A queue and the pods that serve it: what happens between two looks of an autoscaler.

Tasks are delivered in order of arrival to a random free slot, as a broker does that serves its consumers in turn. A pod
takes tasks from its cold start on. A pod that is told to stop finishes its tasks within its grace; what is not done by
then is lost and goes back to the head of the queue.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from random import Random

from millrace_loadtest.simulator.ledger import Ledger
from millrace_loadtest.simulator.workload import Workload

DEAF_AFTER_SECONDS = 0.2
"""From the order to take no more tasks until the worker obeys: tasks may still be delivered meanwhile."""


class Phase(Enum):
    """Where a pod stands in its life."""

    STARTING = auto()
    SERVING = auto()
    STOPPING = auto()
    """Told to stop; finishes what it has."""
    GONE = auto()


class Happening(Enum):
    """What a moment in the queue of events brings."""

    READY = auto()
    DONE = auto()
    DEAF = auto()
    KILL = auto()


@dataclass(slots=True, eq=False)
class Pod:
    """One worker pod."""

    number: int
    created_at: float
    ready_at: float
    phase: Phase = Phase.STARTING
    running: dict[int, float] = field(default_factory=dict)
    """Tasks with the moment when each was begun."""
    draining_since: float | None = None
    is_deaf: bool = False
    """Takes no more tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTraits:
    """What all pods of a pool have in common."""

    slots: int = 1
    cold_start_seconds: float = 30.0
    grace_seconds: float = 30.0


class SimulatedPool:
    """The queue, its tasks and its pods. An autoscaler may only call what a real one can do."""

    def __init__(self, workload: Workload, traits: PodTraits, *, chance: Random) -> None:
        self.workload = workload
        self.traits = traits
        self.now = 0.0
        self.ledger = Ledger(workload)
        self.pods: list[Pod] = []
        """All that exist, those that stop included."""
        self.waiting: deque[int] = deque()
        self.running = 0
        self.arrived = 0
        self.completed = 0
        self.cold_starts: list[float] = []
        """Of pods that became ready; whoever reads them takes them out."""
        self._chance = chance
        self._free: list[Pod] = []
        self._events: list[tuple[float, int, Happening, Pod, int]] = []
        self._order = count()
        self._numbers = count()

    # What can be seen.

    @property
    def in_system(self) -> int:
        """Tasks that wait or run."""
        return len(self.waiting) + self.running

    @property
    def alive(self) -> list[Pod]:
        """Pods that were not told to stop: spec.replicas of the Deployment."""
        return [pod for pod in self.pods if pod.phase is not Phase.STOPPING]

    @property
    def is_done(self) -> bool:
        """Tell whether every task arrived and ended."""
        return self.completed == len(self.workload.arrivals)

    # What an autoscaler can do.

    def add(self, pods: int, *, cold_start_seconds: float | None = None) -> None:
        """Start pods."""
        takes = self.traits.cold_start_seconds if cold_start_seconds is None else cold_start_seconds
        for _ in range(pods):
            pod = Pod(number=next(self._numbers), created_at=self.now, ready_at=self.now + takes)
            self.pods.append(pod)
            self._expect(pod.ready_at, Happening.READY, pod)
        self.ledger.started(pods, existing=len(self.pods))

    def stop(self, victims: Sequence[Pod], *, grace_seconds: float) -> None:
        """Send SIGTERM: an idle pod is gone at once, a busy one when its tasks are done or its grace is over."""
        for pod in victims:
            pod.phase = Phase.STOPPING
            self._close(pod)
            self.ledger.victim(is_busy=bool(pod.running))
            if not pod.running:
                self._vanish(pod)
            elif grace_seconds < float("inf"):
                self._expect(self.now + grace_seconds, Happening.KILL, pod)

    def drain(self, pod: Pod) -> None:
        """Tell a pod to take no more tasks; it obeys a moment later."""
        pod.draining_since = self.now
        self._expect(self.now + DEAF_AFTER_SECONDS, Happening.DEAF, pod)

    def rearm(self, pod: Pod) -> None:
        """Tell a draining pod to take tasks again."""
        pod.draining_since = None
        if pod.is_deaf:
            pod.is_deaf = False
            self._free.extend([pod] * (self.traits.slots - len(pod.running)))
            self._deliver()

    # What happens by itself.

    def advance(self, until: float) -> None:
        """Let everything happen that happens up to a moment."""
        arrivals, events = self.workload.arrivals, self._events
        while True:
            next_arrival = arrivals[self.arrived] if self.arrived < len(arrivals) else float("inf")
            next_event = events[0][0] if events else float("inf")
            if min(next_arrival, next_event) > until:
                break
            if next_arrival <= next_event:
                self.now = next_arrival
                self.waiting.append(self.arrived)
                self.arrived += 1
            else:
                self.now, _, happening, pod, task = heapq.heappop(events)
                self._happen(happening, pod, task)
            self._deliver()
        self.now = until

    def _happen(self, happening: Happening, pod: Pod, task: int) -> None:
        match happening:
            case Happening.DONE if task in pod.running:
                self._finish(pod, task)
            case Happening.READY if pod.phase is Phase.STARTING:
                pod.phase = Phase.SERVING
                self.cold_starts.append(self.now - pod.created_at)
                self._free.extend([pod] * self.traits.slots)
            case Happening.DEAF if pod.draining_since is not None and pod.phase is Phase.SERVING:
                self._close(pod)
            case Happening.KILL if pod.phase is Phase.STOPPING:
                self._kill(pod)
            case _:  # the pod or the task is gone, or the order was taken back
                pass

    def _deliver(self) -> None:
        free, waiting = self._free, self.waiting
        while waiting and free:
            chosen = int(self._chance.random() * len(free))
            free[chosen], free[-1] = free[-1], free[chosen]
            pod, task = free.pop(), waiting.popleft()
            pod.running[task] = self.now
            self.running += 1
            self.ledger.begun(task, self.now)
            self._expect(self.now + self.workload.services[task], Happening.DONE, pod, task)

    def _finish(self, pod: Pod, task: int) -> None:
        del pod.running[task]
        self.running -= 1
        self.completed += 1
        if pod.phase is Phase.SERVING and not pod.is_deaf:
            self._free.append(pod)
        elif pod.phase is Phase.STOPPING and not pod.running:
            self._vanish(pod)

    def _kill(self, pod: Pod) -> None:
        self.ledger.killed(self.now - begun for begun in pod.running.values())
        self.running -= len(pod.running)
        self.waiting.extendleft(sorted(pod.running, reverse=True))
        pod.running.clear()
        self._vanish(pod)

    def _vanish(self, pod: Pod) -> None:
        pod.phase = Phase.GONE
        self.pods.remove(pod)
        self.ledger.gone(self.now - pod.created_at)

    def _close(self, pod: Pod) -> None:
        pod.is_deaf = True
        self._free = [other for other in self._free if other is not pod]

    def _expect(self, at: float, happening: Happening, pod: Pod, task: int = -1) -> None:
        heapq.heappush(self._events, (at, next(self._order), happening, pod, task))
