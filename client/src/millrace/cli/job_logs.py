"""What workers logged about one job: their logs are events with the job's uid, one JSON object a line."""

import json
from collections.abc import Iterator
from typing import Any, Final

from millrace.cli.kubernetes_api import Cluster
from millrace.errors import MillraceError

WORKERS: Final = "app.kubernetes.io/part-of=millrace"
_CONTAINER: Final = "worker"
_SHOWN_FIRST: Final = frozenset({"timestamp", "level", "event", "pod", "job", "uid", "logger"})


def job_lines(cluster: Cluster, job: dict[str, Any], *, since_seconds: int | None) -> list[dict[str, Any]]:
    """Gather the lines of all workers that are there, oldest first."""
    uid = job["metadata"]["uid"]
    lines = [
        {**line, "pod": pod}
        for pod, container in _workers(cluster)
        for line in _read(cluster, pod, container, since_seconds)
        if line.get("uid") == uid
    ]
    return sorted(lines, key=lambda line: str(line.get("timestamp", "")))


def shown_line(line: dict[str, Any]) -> str:
    """Write a line for people."""
    rest = " ".join(f"{name}={value}" for name, value in line.items() if name not in _SHOWN_FIRST)
    head = f"{line.get('timestamp', '')} {line.get('level', ''):<7} {line['pod']} {line.get('event', '')}"
    return f"{head} {rest}".rstrip()
