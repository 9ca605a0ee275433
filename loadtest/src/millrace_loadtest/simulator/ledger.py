"""What is counted while a load is played, and what it comes to in the end."""

from collections.abc import Iterable
from dataclasses import dataclass

from millrace_loadtest.simulator.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a policy made of a load. Waits are from arrival to the first start, in seconds."""

    tasks: int
    share_within: float
    """Share of tasks that began within the objective."""
    p50: float
    p95: float
    p99: float
    pod_seconds: float
    """Starting and stopping included."""
    work_seconds: float
    killed: int
    """Busy pods that were killed."""
    redelivered: int
    """Tasks that were delivered again."""
    lost_seconds: float
    """Work of tasks that were killed."""
    peak: int
    starts: int
    writes: int
    """Writes of `replicas`."""
    downs: int
    """Writes that lowered replicas."""
    victims: int
    """Pods that were told to stop."""
    busy_victims: int
    """Of them those that ran a task when they were told."""
    first_up_seconds: float | None
    """From the first arrival to the first write that raised replicas."""
    cap_seconds: float | None
    """From the first arrival until maxReplicas were asked for."""

    @property
    def cost(self) -> float:
        """Pod-seconds for a second of work."""
        return self.pod_seconds / self.work_seconds if self.work_seconds else 0.0


class Ledger:
    """The running counts of one pool."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.waits: list[float | None] = [None] * len(workload.arrivals)
        """Of each task, in order of arrival; None as long as it waits for its first start."""
        self.writes: list[tuple[float, int, int]] = []
        """When `replicas` were written, from how many to how many."""
        self._pod_seconds = self._lost_seconds = 0.0
        self._killed = self._redelivered = self._victims = self._busy_victims = self._starts = self._peak = 0

    def started(self, pods: int, *, existing: int) -> None:
        """Count pods that were created."""
        self._starts += pods
        self._peak = max(self._peak, existing)

    def begun(self, task: int, now: float) -> None:
        """Note the wait of a task that a slot took; only its first start counts."""
        if self.waits[task] is None:
            self.waits[task] = now - self._workload.arrivals[task]

    def killed(self, ran: Iterable[float]) -> None:
        """Count a busy pod that was killed, and the tasks that it had."""
        tasks = list(ran)
        self._killed += 1
        self._redelivered += len(tasks)
        self._lost_seconds += sum(tasks)

    def victim(self, *, is_busy: bool) -> None:
        """Count a pod that was told to stop."""
        self._victims += 1
        self._busy_victims += is_busy

    def gone(self, lived: float) -> None:
        """Count what a pod cost."""
        self._pod_seconds += lived

    def wrote(self, now: float, before: int, after: int) -> None:
        """Note a write of `replicas`."""
        self.writes.append((now, before, after))

    def close(self, *, now: float, still_living: float, max_replicas: int, objective_seconds: float) -> Outcome:
        """Come to the end: tasks that never began have waited until now."""
        arrivals = self._workload.arrivals
        waits = sorted(
            now - arrived if wait is None else wait for wait, arrived in zip(self.waits, arrivals, strict=True)
        )
        first = arrivals[0] if arrivals else 0.0
        ups = [at - first for at, before, after in self.writes if after > before and at >= first]
        caps = [at - first for at, _, after in self.writes if after >= max_replicas and at >= first]
        return Outcome(
            tasks=len(waits),
            share_within=share_within(waits, objective_seconds),
            p50=percentile(waits, 0.50),
            p95=percentile(waits, 0.95),
            p99=percentile(waits, 0.99),
            pod_seconds=self._pod_seconds + still_living,
            work_seconds=sum(self._workload.services),
            killed=self._killed,
            redelivered=self._redelivered,
            lost_seconds=self._lost_seconds,
            peak=self._peak,
            starts=self._starts,
            writes=len(self.writes),
            downs=sum(after < before for _, before, after in self.writes),
            victims=self._victims,
            busy_victims=self._busy_victims,
            first_up_seconds=ups[0] if ups else None,
            cap_seconds=caps[0] if caps else None,
        )


def percentile(ordered: list[float], share: float) -> float:
    """Return the value that this share of the ordered values does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def share_within(waits: list[float], limit: float) -> float:
    """Return the share of waits up to a limit; 1 when there is none."""
    return sum(wait <= limit for wait in waits) / len(waits) if waits else 1.0
