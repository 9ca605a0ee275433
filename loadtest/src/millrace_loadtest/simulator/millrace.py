"""Millrace as it runs in a cluster: the operator's own decision functions, once a second."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from millrace_loadtest.simulator.actuator import Actuator
from millrace_loadtest.simulator.pool import Phase, SimulatedPool
from millrace_loadtest.simulator.scaler import begin_with
from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision import decide as operator
from millrace_operator.decision.decide import Memory
from millrace_operator.model.decision import ScalingDecision
from millrace_operator.model.outlook import Outlook
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown

TICK_SECONDS: Final = 1.0

Law = Callable[..., tuple[ScalingDecision, Memory]]
"""`decide` of the operator, or a variant of it."""
UNREADABLE: Final = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="the broker does not answer")


@dataclass(frozen=True, slots=True)
class Blackout:
    """A time in which the broker cannot be read."""

    begins: float
    ends: float


class Millrace:
    """One WorkerPool under the operator."""

    def __init__(
        self, policy: PoolPolicy, *, chance: Random, law: Law | None = None, blackout: Blackout | None = None
    ) -> None:
        self.policy = policy
        self.decisions: list[tuple[float, ScalingDecision]] = []
        """Each that differs from the one before in number or reason, with its moment."""
        self._law: Law = law or operator.decide
        self._blackout = blackout
        self._next_at = chance.uniform(0, TICK_SECONDS)
        self._memory: Memory | None = None
        self._actuator = Actuator()

    def begin(self, pool: SimulatedPool) -> None:
        """Start with minReplicas."""
        begin_with(pool, self.policy.min_replicas)

    @property
    def next_at(self) -> float:
        """When the next pass is."""
        return self._next_at

    def act(self, pool: SimulatedPool) -> None:
        """Make one pass: read, decide, act."""
        self._next_at += TICK_SECONDS
        decision, self._memory = self._law(
            policy=self.policy,
            state=state_of(pool),
            reading=self._read(pool),
            outlook=outlook_of(pool),
            memory=self._memory,
            now=pool.now,
        )
        self.note(pool.now, decision)
        self._actuator.bring(pool, decision.replicas)

    def note(self, now: float, decision: ScalingDecision) -> None:
        """Keep a decision that is news."""
        last = self.decisions[-1][1] if self.decisions else None
        if last is None or (last.replicas, last.reason) != (decision.replicas, decision.reason):
            self.decisions.append((now, decision))

    def _read(self, pool: SimulatedPool) -> Reading:
        if self._blackout is not None and self._blackout.begins <= pool.now < self._blackout.ends:
            return UNREADABLE
        return reading_of(pool)


def reading_of(pool: SimulatedPool) -> QueueReading:
    """Read the queue as the operator does: declares and counters, milliseconds old."""
    return QueueReading(
        read_at=pool.now,
        ready=len(pool.waiting),
        unacked=pool.running,
        consumers=sum(pod.phase is Phase.SERVING and not pod.is_deaf for pod in pool.pods),
        arrivals_total=pool.arrived,
        completions_total=pool.completed,
    )


def state_of(pool: SimulatedPool) -> PoolState:
    """See the pods as the operator's informer and the heartbeats show them."""
    alive = pool.alive
    starting = tuple(pod.created_at for pod in alive if pod.phase is Phase.STARTING)
    draining = sum(pod.draining_since is not None for pod in alive)
    cold_starts, pool.cold_starts = tuple(pool.cold_starts), []
    return PoolState(
        asked=len(alive),
        existing=len(alive),
        ready=len(alive) - len(starting) - draining,
        starting_since=starting,
        draining=draining,
        busy=sum(bool(pod.running) for pod in alive),
        cold_starts_seconds=cold_starts,
    )


def outlook_of(pool: SimulatedPool) -> Outlook:
    """Know of each source when it is due next."""
    coming = next((due for due in pool.workload.known if due.at > pool.now), None)
    return (coming,) if coming else ()
