"""A small world for drains: Kubernetes with its order of removal, a quorum queue, and workers with heartbeats.

It exists to be unkind within the rules: heartbeats are up to 2 s old, a cancelled consumer finishes what it has, pods
start at any time, the operator forgets everything. It counts each task that a scale-down interrupts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision.drain import after_cancel, after_lowering, after_question, after_rearm, plan_drain
from millrace_operator.decision.drain_memory import DrainMemory, DrainPlan, Target
from millrace_operator.model.pool_state import Pod, PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown
from millrace_operator.model.worker import Worker

BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="RabbitMQ is unreachable")
HEARTBEAT_SECONDS = 2.0
TICK_SECONDS = 0.25


@dataclass
class SimulatedPod:
    """A pod with one worker."""

    name: str
    created_at: float
    ready_at: float
    consumes: bool = True
    """False after cancel_consumer."""
    ends: list[float] = field(default_factory=list)
    """When each of its running tasks ends."""
    processed: int = 0
    beat: Worker | None = None
    draining_since: float | None = None
    deletion_cost: int = 0
    answers: bool = True
    """False: remote control is switched off."""
    holds_unseen: bool = False
    """It holds a task that no heartbeat counts, as one that waits for its ETA."""
    cannot_start: bool = False
    """Its image cannot be pulled."""
    is_unschedulable: bool = False

    def is_ready(self, now: float) -> bool:
        """Tell whether its worker works."""
        return now >= self.ready_at and not self.never_starts

    @property
    def never_starts(self) -> bool:
        """Tell whether no worker will come up in it."""
        return self.cannot_start or self.is_unschedulable

    def seen(self, now: float) -> Pod:
        """Show it as the cluster does."""
        return Pod(
            name=self.name,
            uid=self.name,
            created_at=self.created_at,
            is_ready=self.is_ready(now),
            ready_since=self.ready_at if self.is_ready(now) else None,
            is_pending=now < self.ready_at - 1.0 or self.never_starts,
            is_stuck=self.cannot_start,
            is_unschedulable=self.is_unschedulable,
            draining_since=self.draining_since,
            deletion_cost=self.deletion_cost,
        )


class World:
    """A pool, its queue, and the operator's drains."""

    def __init__(
        self,
        *,
        pods: int = 0,
        policy: PoolPolicy,
        task_seconds: float = 10.0,
        start_seconds: float = 3.0,
        answers: bool = True,
    ) -> None:
        self.policy = policy
        self.task_seconds = task_seconds
        self.start_seconds = start_seconds
        self.now = 1000.0
        self.asked = pods
        self.answers = answers
        self.waiting = 0
        self.is_blind = False
        self.watch_delay_seconds = 0.0
        """How late the operator sees a new pod."""
        self.memory: DrainMemory | None = None
        self.pods: dict[str, SimulatedPod] = {}
        self.removed: list[str] = []
        self.interrupted: list[str] = []
        """Pods that Kubernetes removed while they ran a task, or could have begun one within their grace period."""
        self.plans: list[DrainPlan] = []
        self._names = 0
        for _ in range(pods):
            self._create(ready_at=self.now)
        self.pass_time(HEARTBEAT_SECONDS)

    @property
    def plan(self) -> DrainPlan:
        """The last plan."""
        return self.plans[-1]

    @property
    def draining(self) -> set[str]:
        """Pods that carry the annotation."""
        return {pod.name for pod in self.pods.values() if pod.draining_since is not None}

    @property
    def consuming(self) -> set[str]:
        """Pods whose workers take tasks."""
        return {pod.name for pod in self.pods.values() if pod.consumes and pod.is_ready(self.now)}

    @property
    def busy(self) -> set[str]:
        """Pods that run a task."""
        return {pod.name for pod in self.pods.values() if pod.ends}

    def run_task(self, name: str, *, seconds: float) -> None:
        """Let one pod run a task that is heard of at once."""
        pod = self.pods[name]
        pod.ends.append(self.now + seconds)
        pod.processed += 1
        self._beat(pod)

    def step(self, desired: int, *, seconds: float = 1.0) -> DrainPlan:
        """Let the operator take one step, and time pass after it."""
        self._scale_up(desired)
        plan, self.memory = plan_drain(
            desired=desired,
            state=PoolState(asked=self.asked, existing=len(self.pods)),
            pods=tuple(pod.seen(self.now) for pod in self.pods.values() if self._is_shown(pod)),
            workers=self.workers(),
            reading=self.reading(),
            policy=self.policy,
            memory=self.memory,
            now=self.now,
        )
        self.plans.append(plan)
        self._execute(plan)
        self.pass_time(seconds)
        return plan

    def steps(self, desired: int, *, seconds: float) -> None:
        """Let the operator take a step each second."""
        for _ in range(int(seconds)):
            self.step(desired)

    def _is_shown(self, pod: SimulatedPod) -> bool:
        return self.now - pod.created_at >= self.watch_delay_seconds

    def pass_time(self, seconds: float) -> None:
        """Let tasks end and begin, and heartbeats come."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += TICK_SECONDS
            for pod in self.pods.values():
                pod.ends = [end for end in pod.ends if end > self.now]
            self._deliver()
            for pod in self.pods.values():
                is_due = pod.beat is None or self.now - pod.beat.heard_at >= HEARTBEAT_SECONDS
                if pod.is_ready(self.now) and is_due:
                    self._beat(pod)

    def workers(self) -> Mapping[str, Worker]:
        """Show the heartbeats that were heard last."""
        return {pod.beat.node: pod.beat for pod in self.pods.values() if pod.beat}

    def reading(self) -> Reading:
        """Show the queue; a cancelled consumer counts until it holds nothing."""
        if self.is_blind:
            return BLIND
        unacked = sum(len(pod.ends) for pod in self.pods.values())
        held = [pod for pod in self.pods.values() if pod.is_ready(self.now) and (pod.consumes or pod.ends)]
        return QueueReading(read_at=self.now, ready=self.waiting, unacked=unacked, consumers=len(held))

    def _beat(self, pod: SimulatedPod) -> None:
        pod.beat = Worker(
            node=f"worker@{pod.name}",
            active=len(pod.ends),
            processed=pod.processed,
            heard_at=self.now,
            first_heard_at=pod.beat.first_heard_at if pod.beat else self.now,
        )

    def _deliver(self) -> None:
        # Round robin, as the broker does it: whoever has run least is next.
        for pod in sorted(self.pods.values(), key=lambda pod: pod.processed):
            while self.waiting and pod.consumes and pod.is_ready(self.now) and len(pod.ends) < self.policy.concurrency:
                self.waiting -= 1
                pod.processed += 1
                pod.ends.append(self.now + self.task_seconds)

    def _execute(self, plan: DrainPlan) -> None:
        assert self.memory is not None
        for target in plan.cancel:
            self.pods[target.pod.name].draining_since = self.now
        self.memory = after_cancel(self.memory, self._tell(plan.cancel, consumes=False), at=self.now)
        returned = self._tell(plan.rearm, consumes=True)
        for name in returned:
            self.pods[name].draining_since, self.pods[name].deletion_cost = None, 0
        self.memory = after_rearm(self.memory, returned, at=self.now)
        doubted = {each.pod.name: self.pods[each.pod.name].answers for each in plan.ask if not self._is_empty(each)}
        self.memory = after_question(self.memory, doubted, at=self.now)
        if doubted:
            return
        for pod in plan.mark:
            marked = self.pods[pod.name]
            marked.draining_since, marked.deletion_cost = marked.draining_since or self.now, plan.deletion_cost
        if plan.removal and plan.removal.previous == self.asked:
            self.asked = plan.removal.replicas
            self.memory = after_lowering(self.memory, plan.removal)
            self.pass_time(TICK_SECONDS)
            self.kubernetes_acts()

    def _is_empty(self, target: Target) -> bool:
        pod = self.pods[target.pod.name]
        return pod.answers and not pod.ends and not pod.holds_unseen

    def _tell(self, targets: tuple[Target, ...], *, consumes: bool) -> set[str]:
        answered = {each.pod.name for each in targets if self.pods[each.pod.name].answers or not each.nodes}
        for target in targets:
            if target.pod.name in answered and target.nodes:
                self.pods[target.pod.name].consumes = consumes
        return answered

    def _scale_up(self, desired: int) -> None:
        self.asked = max(self.asked, desired)
        self.kubernetes_acts()

    def kubernetes_acts(self) -> None:
        """Make as many pods as are asked for, or remove those that are too many."""
        while len(self.pods) < self.asked:
            self._create(ready_at=self.now + self.start_seconds)
        ranked = sorted(self.pods.values(), key=self.order_of_removal)
        for pod in ranked[: max(0, len(self.pods) - self.asked)]:
            del self.pods[pod.name]
            self.removed.append(pod.name)
            # A Python that starts as process 1 ignores SIGTERM: it comes up, takes a task, and is killed with it.
            comes_up = not pod.is_ready(self.now) and not pod.never_starts
            if pod.ends or comes_up:
                self.interrupted.append(pod.name)

    def order_of_removal(self, pod: SimulatedPod) -> tuple[bool, bool, bool, int, float]:
        """Tell when Kubernetes removes it: without a node, pending, not ready, then by its cost, then the youngest."""
        seen = pod.seen(self.now)
        return (not seen.is_unschedulable, not seen.is_pending, seen.is_ready, pod.deletion_cost, -pod.created_at)

    def _create(self, *, ready_at: float) -> None:
        self._names += 1
        name = f"pod-{self._names}"
        self.pods[name] = SimulatedPod(
            name=name, created_at=self.now + self._names / 1000, ready_at=ready_at, answers=self.answers
        )
