"""Time lines that read as the specification: `pool(max_replicas=20).at(0).backlog(100).expects(20, Reason.AT_MAXIMUM)`.

The operator looks at the pool once a second, as in a cluster, and a small model of the pool does what was decided.
`at(t)` plays all looks before t; what is said next happens at t, before the look of that second.
"""

import random
from collections.abc import Callable
from typing import Self

from pool_model import PoolModel

from millrace_operator.api.worker_pool import Mode, Objective, PoolPolicy, Schedule
from millrace_operator.decision.decide import Memory, decide, recall
from millrace_operator.model.decision import Reason, ScalingDecision
from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.outlook import Due
from millrace_operator.model.reading import Blindness, Unknown

BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="RabbitMQ is unreachable at rabbitmq:5672")
HORIZON_SECONDS = 600.0
OF_MODEL = ("begins", "replicas", "task", "cold_start", "room", "acks_early")


def pool(
    *,
    objective: float = 30.0,
    percentile: int = 95,
    max_replicas: int = 20,
    min_replicas: int = 0,
    concurrency: int = 1,
    idle_seconds: float | None = None,
    schedules: tuple[Schedule, ...] = (),
    mode: Mode = Mode.AUTO,
    **rest: object,
) -> "Timeline":
    """Begin a time line; `rest` is of the policy (`fallback`, `budget`) or of the model (see Timeline)."""
    of_model = {name: rest.pop(name) for name in OF_MODEL if name in rest}
    policy = PoolPolicy(
        objective=Objective(wait_seconds=objective, percentile=percentile),
        max_replicas=max_replicas,
        min_replicas=min_replicas,
        concurrency=concurrency,
        idle_seconds=idle_seconds,
        schedules=schedules,
        mode=mode,
        **rest,  # type: ignore[arg-type]  # named by the test
    )
    return Timeline(policy, **of_model)  # type: ignore[arg-type]  # named by the test


class Timeline:
    """One pool and its operator, from `begins` on; tasks take `task` seconds and pods `cold_start`."""

    def __init__(
        self,
        policy: PoolPolicy,
        *,
        begins: float = 0.0,
        replicas: int = 0,
        task: float | Callable[[], float] = 5.0,
        cold_start: float = 2.0,
        room: int | None = None,
        acks_early: bool = False,
    ) -> None:
        self.policy = policy
        self.model = PoolModel(
            now=begins,
            replicas=replicas,
            concurrency=policy.concurrency,
            cold_start_seconds=cold_start,
            task_seconds=task if callable(task) else lambda: task,
            room=room,
            acks_early=acks_early,
        )
        self.memory: Memory | None = None
        self.decisions: dict[float, ScalingDecision] = {}
        self.writes: list[tuple[float, int]] = []
        """(when, replicas) of every change of the Deployment."""
        self.drops: list[float] = []
        """When fewer replicas were written than before."""
        self._next_look = begins
        self._is_blind = False
        self._is_rolling_out = False
        self._ceiling: int | None = None
        self._inference: InferenceLoad | None = None
        self._known: list[Due] = []
        self._counted_from = (0, 0)

    # What happens.

    def at(self, moment: float) -> Self:
        """Play all looks before a moment."""
        while self._next_look < moment:
            self._look()
        self.model.advance(moment)
        return self

    def backlog(self, tasks: int) -> Self:
        """Let tasks arrive, all at once."""
        self.model.arrive(tasks)
        return self

    def arrivals(self, *, per_second: float, until: float, seed: int | None = None) -> Self:
        """Let tasks arrive from now on, evenly or, with a seed, by chance (Poisson)."""
        chance = random.Random(seed)
        moment = self.model.now
        while True:
            moment += 1 / per_second if seed is None else chance.expovariate(per_second)
            if moment > until:
                return self
            self.model.at(moment, lambda: self.model.arrive(1))

    def beat(self, source: str, *, every: float, tasks: int, until: float) -> Self:
        """Let Beat send one message each time, which soon becomes `tasks` tasks; the operator sees the entry only."""
        moment = self.model.now + every
        while moment <= until:
            self.model.at(moment, lambda: self.model.arrive(1))
            self.model.at(moment + 1, lambda: self.model.arrive(tasks - 1))
            self._known.append(Due(at=moment, source=source))
            moment += every
        return self

    def knows(self, due: Due) -> Self:
        """Let the operator know of tasks, and let them come."""
        self._known.append(due)
        self.model.at(due.at, lambda: self.model.arrive(due.tasks))
        return self

    def tasks_take(self, seconds: float) -> Self:
        """Change the time of a task."""
        self.model.task_seconds = lambda: seconds
        return self

    def blind(self) -> Self:
        """Make the broker unreadable."""
        self._is_blind = True
        return self

    def sees(self) -> Self:
        """Make the broker readable again."""
        self._is_blind = False
        return self

    def rollout_begins(self) -> Self:
        """Let pods of two templates exist."""
        self._is_rolling_out = True
        return self

    def rollout_ends(self) -> Self:
        """Let all pods be of one template again."""
        self._is_rolling_out = False
        return self

    def granted(self, ceiling: int | None) -> Self:
        """Set what the pool's budget gives."""
        self._ceiling = ceiling
        return self

    def triton(self, *, queue_seconds: float, compute_seconds: float) -> Self:
        """Set where requests spend their time in Triton."""
        self._inference = InferenceLoad(
            requests_per_second=10.0, queue_seconds=queue_seconds, compute_seconds=compute_seconds
        )
        return self

    def remembers(self, *, task: float | None = None, cold_start: float | None = None) -> Self:
        """Let the operator begin anew, with no more than a pool's status remembers."""
        status = {"serviceSeconds": task, "coldStartSeconds": cold_start}
        self.memory = recall({key: f"{value:.3f}" for key, value in status.items() if value is not None})
        self._counted_from = (self.model.arrived, self.model.completed)
        return self

    def operator_restarts(self) -> Self:
        """Forget all but what the pool's status says."""
        estimates = self.last.estimates
        return self.remembers(task=estimates.service_seconds, cold_start=estimates.cold_start_seconds)

    # What is expected of it.

    def look(self) -> ScalingDecision:
        """Return the decision of this second."""
        if self.model.now not in self.decisions:
            self._look()
        return self.last

    def expects(self, replicas: int, reason: Reason) -> Self:
        """Check number and reason of this second's decision."""
        decision = self.look()
        assert (replicas, reason) == (decision.replicas, decision.reason), decision.message
        return self

    def expects_between(self, least: int, most: int, *reasons: Reason) -> Self:
        """Check number and, if any is given, reason of this second's decision."""
        decision = self.look()
        assert least <= decision.replicas <= most, decision.message
        assert not reasons or decision.reason in reasons, decision.message
        return self

    def says(self, message: str) -> Self:
        """Check the whole sentence of this second's decision."""
        assert message == self.look().message
        return self

    @property
    def last(self) -> ScalingDecision:
        """The newest decision."""
        return next(reversed(self.decisions.values()))

    def on_time(self, *, since: float = 0.0) -> float:
        """Return the share of tasks that arrived since and started within the objective; those that wait now count."""
        limit = self.policy.objective.wait_seconds
        waits = [wait for arrived, wait in self.model.waits if arrived >= since]
        return sum(wait <= limit for wait in waits) / max(1, len(waits) + self.model.waiting)

    def _look(self) -> None:
        model = self.model
        model.advance(self._next_look)
        now = self._next_look
        outlook = tuple(sorted((due for due in self._known if now <= due.at <= now + HORIZON_SECONDS), key=_moment))
        decision, self.memory = decide(
            policy=self.policy,
            state=model.state(is_rolling_out=self._is_rolling_out),
            reading=BLIND if self._is_blind else model.reading(counted_from=self._counted_from),
            outlook=outlook,
            inference=self._inference,
            memory=self.memory,
            now=now,
            ceiling=self._ceiling,
        )
        self.decisions[now] = decision
        if decision.is_binding and decision.replicas != model.asked:
            before = model.asked
            model.scale(decision.replicas)
            if model.asked != before:
                self.writes.append((now, model.asked))
            if model.asked < before:
                self.drops.append(now)
        self._next_look = now + 1.0


def _moment(due: Due) -> float:
    return due.at
