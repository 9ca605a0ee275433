"""A tiny exact pool: one queue in order of arrival, pods that take a cold start, tasks of a known time.

It plays what the cluster would do with a decision, so that time lines can run for minutes. Scale-downs are those of the
drain: pods that are not ready go first, then idle ones, and a busy pod never goes.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import QueueReading

SCHEDULER_SAYS = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@dataclass(eq=False, slots=True)
class _Pod:
    created_at: float
    is_scheduled: bool = False
    is_ready: bool = False
    is_gone: bool = False
    running: int = 0


class PoolModel:
    """Queue, pods and tasks of one pool, exact to the event."""

    def __init__(
        self,
        *,
        now: float,
        replicas: int,
        concurrency: int,
        cold_start_seconds: float,
        task_seconds: Callable[[], float],
        room: int | None,
        acks_early: bool = False,
    ) -> None:
        self.now = now
        self.concurrency = concurrency
        self.cold_start_seconds = cold_start_seconds
        self.task_seconds = task_seconds
        self.room = room
        self.acks_early = acks_early
        """As Celery does by default: the broker takes a task that begins for one that is done."""
        self.arrived = 0
        self.completed = 0
        self.pod_seconds = 0.0
        self.waits: list[tuple[float, float]] = []
        """(when a task arrived, how long it waited), in order of start."""
        self._waiting: deque[float] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._cold_starts: list[float] = []
        self._pods = [_Pod(now, is_scheduled=True, is_ready=True) for _ in range(replicas)]

    @property
    def asked(self) -> int:
        """Replicas of the Deployment."""
        return len(self._pods)

    @property
    def running(self) -> int:
        """Tasks that run."""
        return sum(pod.running for pod in self._pods)

    @property
    def busy(self) -> int:
        """Pods that run a task."""
        return sum(pod.running > 0 for pod in self._pods)

    @property
    def waiting(self) -> int:
        """Tasks that wait."""
        return len(self._waiting)

    def at(self, moment: float, happens: Callable[[], None]) -> None:
        """Let something happen at a later moment."""
        heapq.heappush(self._events, (moment, next(self._numbers), happens))

    def advance(self, moment: float) -> None:
        """Play everything up to a moment, inclusive."""
        while self._events and self._events[0][0] <= moment:
            at, _, happens = heapq.heappop(self._events)
            self._pass_to(at)
            happens()
        self._pass_to(moment)

    def arrive(self, tasks: int) -> None:
        """Let tasks arrive now."""
        self.arrived += tasks
        self._waiting.extend([self.now] * tasks)
        self._start_tasks()

    def scale(self, replicas: int) -> None:
        """Do what the actuator does: pods come at once and go only when they are idle."""
        while self.asked < replicas:
            self._pods.append(_Pod(self.now))
        for pod in sorted(self._pods, key=lambda each: (each.is_ready, -each.created_at)):
            if self.asked > replicas and not pod.running:
                pod.is_gone = True
                self._pods.remove(pod)
        self._place_pods()

    def state(self, *, is_rolling_out: bool = False) -> PoolState:
        """Show the pool as the informer does; each cold start is told once."""
        told, self._cold_starts = tuple(self._cold_starts), []
        starting = (pod.created_at for pod in self._pods if pod.is_scheduled and not pod.is_ready)
        unschedulable = sum(not pod.is_scheduled for pod in self._pods)
        return PoolState(
            asked=self.asked,
            existing=self.asked,
            ready=sum(pod.is_ready for pod in self._pods),
            starting_since=tuple(sorted(starting)),
            busy=self.busy,
            unschedulable=unschedulable,
            unschedulable_message=SCHEDULER_SAYS if unschedulable else "",
            is_rolling_out=is_rolling_out,
            cold_starts_seconds=told,
        )

    def reading(self, *, counted_from: tuple[int, int] = (0, 0)) -> QueueReading:
        """Show the queue as the broker does, to an operator that counts arrivals and completions from there on."""
        return QueueReading(
            read_at=self.now,
            ready=self.waiting,
            unacked=0 if self.acks_early else self.running,
            consumers=sum(pod.is_ready for pod in self._pods) * self.concurrency,
            arrivals_total=self.arrived - counted_from[0],
            completions_total=self.completed + self.acks_early * self.running - counted_from[1],
        )

    def _pass_to(self, moment: float) -> None:
        self.pod_seconds += self.asked * (moment - self.now)
        self.now = moment

    def _place_pods(self) -> None:
        placed = sum(pod.is_scheduled for pod in self._pods)
        for pod in self._pods:
            if not pod.is_scheduled and (self.room is None or placed < self.room):
                pod.is_scheduled, placed = True, placed + 1
                self.at(self.now + self.cold_start_seconds, partial(self._become_ready, pod))

    def _become_ready(self, pod: _Pod) -> None:
        if not pod.is_gone:
            pod.is_ready = True
            self._cold_starts.append(self.now - pod.created_at)
            self._start_tasks()

    def _start_tasks(self) -> None:
        while self._waiting:
            free = [pod for pod in self._pods if pod.is_ready and pod.running < self.concurrency]
            if not free:
                return
            pod = min(free, key=lambda each: each.running)
            pod.running += 1
            arrived = self._waiting.popleft()
            self.waits.append((arrived, self.now - arrived))
            self.at(self.now + self.task_seconds(), partial(self._end_task, pod))

    def _end_task(self, pod: _Pod) -> None:
        pod.running -= 1
        self.completed += 1
        self._start_tasks()
