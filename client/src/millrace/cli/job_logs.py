"""What workers logged about one job: their logs are events with the job's uid, one JSON object a line."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from millrace.cli.pools import PLURAL as POOLS
from millrace.errors import NotFound, Refused

if TYPE_CHECKING:
    from millrace.cli.kubernetes_api import Cluster, Resource

PODS: Final = "app.kubernetes.io/part-of=millrace,app.kubernetes.io/component in (worker,operator)"
_CONTAINERS: Final = ("worker", "operator")
"""A worker's pod has Triton beside it."""
_SHOWN_FIRST: Final = frozenset({"timestamp", "level", "event", "pod", "job", "uid", "logger"})


def job_lines(cluster: "Cluster", job: dict[str, Any], *, since_seconds: int | None) -> list[dict[str, Any]]:
    """Gather the lines of all workers that are there, oldest first."""
    lines = [
        {**line, "pod": pod}
        for pod, container in _containers(cluster, job).items()
        for line in _read(cluster, pod, container, since_seconds)
        if _speaks_of(line, job)
    ]
    return sorted(lines, key=lambda line: str(line.get("timestamp", "")))


def shown_line(line: dict[str, Any]) -> str:
    """Write a line for people."""
    rest = " ".join(f"{name}={value}" for name, value in line.items() if name not in _SHOWN_FIRST)
    head = f"{line.get('timestamp', '')} {line.get('level', ''):<7} {line['pod']} {line.get('event', '')}"
    return f"{head} {rest}".rstrip()


def _speaks_of(line: dict[str, Any], job: dict[str, Any]) -> bool:
    """Workers name the uid; the operator names the object, of which there was perhaps an earlier one of that name."""
    metadata = job["metadata"]
    if "uid" in line:
        return bool(line["uid"] == metadata["uid"])
    is_its_name = line.get("job") == f"{metadata['namespace']}/{metadata['name']}"
    return is_its_name and str(line.get("timestamp", "")) >= str(metadata.get("creationTimestamp", ""))


def _containers(cluster: "Cluster", job: dict[str, Any]) -> dict[str, str]:
    """Name the pods that may know of the job, with the container that speaks of it."""
    pods = cluster.core("pods", selector=PODS) + _pods_of_adopted(cluster, job)
    return {pod["metadata"]["name"]: _container(pod) for pod in pods if pod.get("status", {}).get("phase") != "Pending"}


def _pods_of_adopted(cluster: "Cluster", job: dict[str, Any]) -> "list[Resource]":
    """Find the pods of a pool whose Deployment is not the chart's, and so lacks its labels."""
    try:
        pool = cluster.get(POOLS, job["spec"]["workerPoolRef"]["name"])
        labels = cluster.deployment(pool["spec"]["workloadRef"]["name"])["spec"]["selector"]["matchLabels"]
    except NotFound:
        # The pool or its Deployment is gone, and its pods with it.
        return []
    return cluster.core("pods", selector=",".join(f"{key}={value}" for key, value in labels.items()))


def _container(pod: "Resource") -> str:
    names = [str(each["name"]) for each in pod["spec"]["containers"]]
    return next((name for name in _CONTAINERS if name in names), names[0])


def _read(cluster: "Cluster", pod: str, container: str, since_seconds: int | None) -> Iterator[dict[str, Any]]:
    try:
        for text in cluster.log_lines(pod, container, since_seconds=since_seconds):
            line = _parsed(text)
            if line is not None:
                yield line
    except (NotFound, Refused):
        # The pod went away, or its container has not started: it has nothing to say any more, or yet.
        return


def _parsed(text: str) -> dict[str, Any] | None:
    """Read an event; lines of libraries that are no JSON speak of no job."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
