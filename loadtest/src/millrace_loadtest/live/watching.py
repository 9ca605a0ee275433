"""Record a load while it plays: the watch API tells of replicas and pods, the player of tasks and backlog."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from millrace_loadtest.live.cluster import Cluster, wait_until
from millrace_loadtest.live.recording import PodLife, Replicas, Task
from millrace_operator.clock import Clock

CLOCK = Clock()


def now() -> float:
    """Answer seconds since the epoch; the cluster's node has the same clock."""
    return CLOCK.now().timestamp()


@dataclass
class DeploymentWatch:
    """What was asked for and ready, each change with the moment at which it arrived here."""

    changes: list[tuple[float, int, int]] = field(default_factory=list)
    pods: dict[str, PodLife] = field(default_factory=dict)
    """By name, in seconds since the epoch."""

    @property
    def asked(self) -> int:
        """Replicas asked for last."""
        return self.changes[-1][1] if self.changes else 0

    @property
    def is_empty(self) -> bool:
        """Nothing is asked for and every pod is gone."""
        return self.asked == 0 and all(pod.gone is not None for pod in self.pods.values())

    def read_deployment(self, lines: Iterator[str]) -> None:
        """Take lines `asked|ready` until they end."""
        for line in lines:
            asked, ready = (int(part or 0) for part in line.split("|"))
            if not self.changes or self.changes[-1][1:] != (asked, ready):
                self.changes.append((now(), asked, ready))

    def read_pods(self, lines: Iterator[str]) -> None:
        """Take lines `event|pod|creation|deletion` until they end."""
        for line in lines:
            event, name, created, deletion = line.split("|")
            pod = self.pods.get(name)
            if pod is None:
                pod = PodLife(name=name, created=datetime.fromisoformat(created).timestamp(), gone=None)
            if deletion and pod.told_to_stop is None:
                pod = replace(pod, told_to_stop=now())
            self.pods[name] = replace(pod, gone=now() if event == "DELETED" else None)

    def replicas(self, zero: float, *, since: float) -> tuple[Replicas, ...]:
        """Answer the changes after `since`, and the last one before, in seconds after `zero`."""
        before = [each for each in self.changes if each[0] < since][-1:]
        after = [each for each in self.changes if each[0] >= since]
        return tuple(Replicas(at=round(at - zero, 3), asked=asked, ready=ready) for at, asked, ready in before + after)

    def lives(self, zero: float, *, since: float) -> tuple[PodLife, ...]:
        """Answer the pods that lived after `since`, in seconds after `zero`; creation times are whole seconds."""
        return tuple(
            PodLife(
                name=pod.name,
                created=pod.created - zero,
                gone=None if pod.gone is None else round(pod.gone - zero, 3),
                told_to_stop=None if pod.told_to_stop is None else round(pod.told_to_stop - zero, 3),
            )
            for pod in self.pods.values()
            if pod.gone is None or pod.gone >= since
        )


@contextmanager
def watched(cluster: Cluster, deployment: str) -> Iterator[DeploymentWatch]:
    """Watch a Deployment and its pods."""
    seen = DeploymentWatch()
    shape = '--output=jsonpath={.spec.replicas}|{.status.readyReplicas}{"\\n"}'
    about = "|".join("{.object.metadata." + key + "}" for key in ("name", "creationTimestamp", "deletionTimestamp"))
    life = "--output=jsonpath={.type}|" + about + '{"\\n"}'
    with ExitStack() as stack:
        of_deployment = stack.enter_context(cluster.stream("get", "deployment", deployment, "--watch", shape))
        of_pods = stack.enter_context(
            cluster.stream("get", "pods", f"--selector=app={deployment}", "--watch", "--output-watch-events", life)
        )
        for read, lines in ((seen.read_deployment, of_deployment), (seen.read_pods, of_pods)):
            threading.Thread(target=read, args=(lines,), daemon=True).start()
        wait_until(lambda: seen.changes, what=f"the first sight of Deployment {deployment}", timeout_seconds=30)
        yield seen


@dataclass
class Played:
    """What the player told."""

    backlog: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    redelivered: dict[str, int] = field(default_factory=dict)
    published: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def first_publish(self) -> float:
        """When the first task was published."""
        return min(float(each["at"]) for each in self.published.values())

    def take(self, line: str) -> None:
        """Take one line of the player."""
        told = json.loads(line)
        match told["kind"]:
            case "published":
                self.published[told["task"]] = told
            case "backlog":
                self.backlog.setdefault(told["queue"], []).append((told["at"], told["ready"]))
            case "started" | "ended":
                self.notes.setdefault(told["task"], []).append(told)
            case "redelivered":
                self.redelivered[told["queue"]] = told["count"]

    def tasks(self, zero: float) -> tuple[Task, ...]:
        """Answer all tasks, in seconds after `zero`."""
        return tuple(
            Task(
                id=task,
                seconds=about["seconds"],
                published=about["at"] - zero,
                starts=self._times(task, "started", zero),
                ends=self._times(task, "ended", zero),
                pods=tuple(note["pod"] for note in self._notes(task, "started")),
            )
            for task, about in self.published.items()
        )

    def _times(self, task: str, kind: str, zero: float) -> tuple[float, ...]:
        return tuple(note["at"] - zero for note in self._notes(task, kind))

    def _notes(self, task: str, kind: str) -> list[dict[str, Any]]:
        return sorted((note for note in self.notes.get(task, ()) if note["kind"] == kind), key=lambda note: note["at"])


def play(cluster: Cluster, plan: dict[str, Any], *, into: Played | None = None) -> Played:
    """Play a plan in the player's pod to its end; `into` may be looked at meanwhile."""
    played = into if into is not None else Played()
    command = ("exec", "--stdin", "deployment/player", "--", "python", "/bench/play.py")
    with cluster.stream(*command, stdin=json.dumps(plan)) as lines:
        for line in lines:
            played.take(line)
    return played
