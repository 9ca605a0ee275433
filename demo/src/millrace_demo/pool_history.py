"""How a pool scaled over time, gathered from its WorkerPool (wishes, backlog) and its Deployment (pods)."""

from dataclasses import dataclass, replace
from typing import Any

from millrace_demo.kubectl import KubernetesObject


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSample:
    """A pool at one moment; None is not yet known."""

    seconds: float
    """Since the job was applied."""
    waiting: int | None = None
    running: int | None = None
    desired: int | None = None
    pods: int | None = None
    ready: int | None = None
    reason: str = ""
    message: str = ""

    @property
    def size(self) -> tuple[int | None, int | None, int | None]:
        """What scaling is about: wished, existing and ready pods."""
        return self.desired, self.pods, self.ready


class PoolHistory:
    """All samples so far; one is added when something about the pool changed."""

    def __init__(self) -> None:
        self._samples: list[PoolSample] = [PoolSample(seconds=0.0)]

    @property
    def latest(self) -> PoolSample:
        """The pool as it was seen last."""
        return self._samples[-1]

    @property
    def is_known(self) -> bool:
        """Whether both objects were seen."""
        return self.latest.desired is not None and self.latest.pods is not None

    @property
    def most_pods(self) -> int:
        """The most pods that existed at a time."""
        return max(sample.pods or 0 for sample in self._samples)

    def add_pool(self, pool: KubernetesObject, seconds: float) -> None:
        """Take in a WorkerPool."""
        status: dict[str, Any] = pool.get("status", {})
        queue = status.get("queue", {})
        decision = status.get("lastDecision", {})
        self._add(
            replace(
                self.latest,
                seconds=seconds,
                waiting=queue.get("ready"),
                running=queue.get("unacked"),
                desired=status.get("desiredReplicas"),
                reason=decision.get("reason", ""),
                message=decision.get("message", ""),
            )
        )

    def add_deployment(self, deployment: KubernetesObject, seconds: float) -> None:
        """Take in the Deployment of the pool."""
        # The API server leaves out what is zero.
        status: dict[str, Any] = deployment.get("status", {})
        ready = status.get("readyReplicas", 0)
        self._add(replace(self.latest, seconds=seconds, pods=status.get("replicas", 0), ready=ready))

    def _add(self, sample: PoolSample) -> None:
        if replace(sample, seconds=self.latest.seconds) != self.latest:
            self._samples.append(sample)

    def is_idle_at(self, minimum: int) -> bool:
        """Whether the pool wants and has no more pods than `minimum`."""
        return self.latest.desired == self.latest.pods == minimum

    def rows(self) -> list[PoolSample]:
        """Answer what a table needs: each change of size, the longest queue and the most work at a time."""
        known = [sample for sample in self._samples if sample.desired is not None and sample.pods is not None]
        longest = max(known, key=lambda sample: sample.waiting or 0, default=None)
        busiest = max(known, key=lambda sample: sample.running or 0, default=None)
        rows: list[PoolSample] = []
        for sample in known:
            is_peak = (sample is longest and sample.waiting) or (sample is busiest and sample.running)
            if not rows or sample.size != rows[-1].size or is_peak:
                rows.append(sample)
        return rows
