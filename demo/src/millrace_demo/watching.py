"""Follow several objects of the cluster at once, each through a watch of its own that is opened again when it ends."""

import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from millrace_demo.kubectl import Kubectl, KubernetesObject, watch_events

REOPEN_AFTER_SECONDS: Final = 1.0
OBJECT_EVENTS: Final = ("ADDED", "MODIFIED", "DELETED")
"""The others (BOOKMARK, ERROR) do not carry the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What an object looked like at a moment of the monotonic clock."""

    resource: str
    seen_at: float
    is_deleted: bool
    object: KubernetesObject


class Watching:
    """Follows objects while its context is open."""

    def __init__(self, kubectl: Kubectl, targets: Sequence[tuple[str, str]]) -> None:
        """Follow `targets`, pairs of resource and name."""
        self._kubectl = kubectl
        self._sights: SimpleQueue[Sight] = SimpleQueue()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._threads = [threading.Thread(target=self._follow, args=target, daemon=True) for target in targets]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopping.set()
            for process in self._processes.values():
                process.terminate()
        for thread in self._threads:
            thread.join(timeout=5)

    def next_sight(self, limit_seconds: float) -> Sight | None:
        """Answer the next change, or None when there is none within the limit."""
        with suppress(Empty):
            return self._sights.get(timeout=max(limit_seconds, 0.0))
        return None

    def _follow(self, resource: str, name: str) -> None:
        while not self._stopping.is_set():
            self._follow_once(resource, name)
            self._stopping.wait(REOPEN_AFTER_SECONDS)

    def _follow_once(self, resource: str, name: str) -> None:
        command = self._kubectl.watch_command(resource, name)
        with self._lock:
            if self._stopping.is_set():
                return
            # Why a watch ended is not told: it is opened again, and the caller's time limit says when to give up.
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603 - kubectl
            self._processes[resource] = process
        with process:
            for event in watch_events(process.stdout or ()):
                if event["type"] not in OBJECT_EVENTS:
                    continue
                self._sights.put(
                    Sight(
                        resource=resource,
                        seen_at=time.monotonic(),
                        is_deleted=event["type"] == "DELETED",
                        object=event["object"],
                    )
                )
