"""What a run left behind, in seconds after its first publish, and the figures that follow from it. Pure."""

import bisect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task as the broker and the workers saw it."""

    id: str
    seconds: float
    """Of work in it."""
    published: float
    starts: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()
    pods: tuple[str, ...] = ()
    """Where it started, one for each start."""

    @property
    def wait(self) -> float | None:
        """How long it waited for its first start."""
        return self.starts[0] - self.published if self.starts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """What a Deployment asked for and had ready, from one moment on."""

    at: float
    asked: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLife:
    """From the creation of a pod until it was gone; None: it outlived the run."""

    name: str
    created: float
    gone: float | None
    told_to_stop: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One load under one scaler."""

    scaler: str
    load: str
    began: str
    """When, for people."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """What the machine did besides: load averages, images, settings."""
    tasks: tuple[Task, ...]
    replicas: tuple[Replicas, ...]
    pods: tuple[PodLife, ...]
    backlog: tuple[tuple[float, int], ...]
    """Second and messages that wait."""
    redelivered: int
    ended_at: float
    """When the last pod was gone, or the watch ended."""

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Recording":
        """Read what was written down."""
        raw = json.loads(text)
        tasks = (
            Task(**{**each, **{key: tuple(each.get(key, ())) for key in ("starts", "ends", "pods")}})
            for each in raw["tasks"]
        )
        return cls(
            **{
                **raw,
                "tasks": tuple(tasks),
                "replicas": tuple(Replicas(**each) for each in raw["replicas"]),
                "pods": tuple(PodLife(**each) for each in raw["pods"]),
                "backlog": tuple((at, count) for at, count in raw["backlog"]),
            }
        )


def figures(recording: Recording, *, cap: int, objective_seconds: float) -> dict[str, Any]:
    """Answer the figures that runs are compared by; None stands for what did not happen."""
    waits = sorted(task.wait for task in recording.tasks if task.wait is not None)
    work = sum(task.seconds for task in recording.tasks)
    pod_seconds = sum((each.gone or recording.ended_at) - each.created for each in recording.pods)
    return {
        "first_scale_up_seconds": _rounded(first_at_least(recording.replicas, 1)),
        "cap_asked_seconds": _rounded(first_at_least(recording.replicas, cap)),
        "writes_to_cap": writes_until(recording.replicas, cap),
        "peak_asked": max((each.asked for each in recording.replicas), default=0),
        "wait_p50_seconds": _rounded(quantile(waits, 0.5)),
        "wait_p95_seconds": _rounded(quantile(waits, 0.95)),
        "wait_max_seconds": _rounded(waits[-1] if waits else None),
        "within_objective": _rounded(bisect.bisect_right(waits, objective_seconds) / max(1, len(recording.tasks)), 4),
        "all_ended_seconds": _rounded(max((end for task in recording.tasks for end in task.ends), default=None)),
        "pod_seconds": _rounded(pod_seconds),
        "pod_seconds_per_work_second": _rounded(pod_seconds / work if work else None),
        "pod_starts": len(recording.pods),
        "busy_pods_told_to_stop": busy_pods_told_to_stop(recording.tasks, recording.pods),
        "tasks": len(recording.tasks),
        "tasks_not_ended": sum(not task.ends for task in recording.tasks),
        "tasks_started_twice": sum(len(task.starts) > 1 for task in recording.tasks),
        "tasks_killed": sum(max(0, len(task.starts) - len(task.ends)) for task in recording.tasks),
        "redelivered": recording.redelivered,
    }


def busy_pods_told_to_stop(tasks: Sequence[Task], pods: Iterable[PodLife]) -> int | None:
    """Count the pods that were deleted in the middle of a task, whether or not it could end within the grace period.

    None where the run did not record where its tasks ran.
    """
    if any(len(task.pods) != len(task.starts) for task in tasks):
        return None
    stops = {pod.name: pod.told_to_stop for pod in pods if pod.told_to_stop is not None}
    busy = set()
    for task in tasks:
        for number, (pod, start) in enumerate(zip(task.pods, task.starts, strict=True)):
            end = task.ends[number] if number < len(task.ends) else float("inf")
            if start < stops.get(pod, start) < end:
                busy.add(pod)
    return len(busy)


def first_at_least(replicas: Iterable[Replicas], count: int) -> float | None:
    """Answer when so many replicas were first asked for."""
    return next((each.at for each in replicas if each.asked >= count), None)


def writes_until(replicas: Sequence[Replicas], count: int) -> int | None:
    """Answer how many changes of the asked replicas it took to reach so many; None: never reached."""
    changes, asked = 0, None
    for each in replicas:
        if asked is not None and each.asked != asked:
            changes += 1
        asked = each.asked
        if asked >= count:
            return changes
    return None


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Answer the value below which a share of the ordered values lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
