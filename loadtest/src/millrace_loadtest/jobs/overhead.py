"""A job of one record on a warm pool: seconds from `kubectl apply` to the status Succeeded, as a watch sees it.

Runs against an installed release, as `make demo` leaves one. The first jobs only warm the pool up: a pod that has to
start is not what is measured here. The time of kubectl itself is part of the figure, as it is for whoever types it.
"""

import argparse
import json
import statistics
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, Final

from millrace_loadtest.live.cluster import BenchError, Cluster, Resource, clean_up_when_told_to_stop
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.watching import now
from millrace_loadtest.pipeline import servers

KIND: Final = "predictionjobs.millrace.dev"
JOBS: Final = 20
WARM_UP: Final = 3
WARM_UP_SECONDS: Final = 120.0
LIMIT_SECONDS: Final = 30.0
LABEL: Final = "millrace.dev/bench"
COLUMNS: Final = r'jsonpath={.metadata.name}{" "}{.status.state}{"\n"}'
ENDED: Final = {"Succeeded", "Failed", "PartiallySucceeded", "Cancelled", "Expired"}


class Watch:
    """What a watch of the API told, with the moment at which it came."""

    def __init__(self) -> None:
        self._told: Queue[tuple[float, str, str]] = Queue()

    def read(self, lines: Iterator[str]) -> None:
        """Note lines until the watch ends."""
        for line in lines:
            name, _, state = line.partition(" ")
            self._told.put((now(), name, state))

    def times(self, name: str, *, limit_seconds: float) -> tuple[float, float]:
        """Answer when a job was first seen and when it was seen to have succeeded."""
        deadline, first = now() + limit_seconds, None
        while True:
            try:
                at, seen, state = self._told.get(timeout=max(0.0, deadline - now()))
            except Empty:
                raise BenchError(f"job {name} did not end within {limit_seconds:g} s; see its conditions") from None
            if seen != name:
                continue
            first = at if first is None else first
            if state in ENDED:
                if state != "Succeeded":
                    raise BenchError(f"job {name} ended as {state}; see its conditions")
                return first, at


@contextmanager
def watching(cluster: Cluster) -> Iterator[Watch]:
    """Have a watch of the benchmark's jobs."""
    watch = Watch()
    command = ("get", KIND, f"--selector={LABEL}", "--watch", f"--output={COLUMNS}")
    with cluster.stream(*command) as lines:
        reader = Thread(target=watch.read, args=(lines,), daemon=True)
        reader.start()
        yield watch


def job(name: str, *, model: str, pool: str, record: Resource) -> str:
    """Write a job of one record."""
    return json.dumps(
        {
            "apiVersion": "millrace.dev/v1alpha1",
            "kind": "PredictionJob",
            "metadata": {"name": name, "labels": {LABEL: "overhead"}},
            "spec": {
                "model": {"name": model},
                "input": {"inline": {"records": [record]}},
                "output": {"redis": {"ttlSeconds": 600}},
                "workerPoolRef": {"name": pool},
            },
        }
    )


def measure(cluster: Cluster, *, model: str, pool: str, record: Resource) -> dict[str, Any]:
    """Run the jobs one after the other."""
    run_id = uuid.uuid4().hex[:6]
    from_apply: list[float] = []
    from_seen: list[float] = []
    try:
        with watching(cluster) as watch:
            for number in range(WARM_UP + JOBS):
                is_warm = number >= WARM_UP
                name = f"overhead-{run_id}-{number:02d}"
                began = now()
                cluster.kubectl("apply", "--filename=-", stdin=job(name, model=model, pool=pool, record=record))
                limit = LIMIT_SECONDS if is_warm else WARM_UP_SECONDS
                seen, ended = watch.times(name, limit_seconds=limit)
                say(f"{name}: {ended - began:.2f} s, {ended - seen:.2f} s of it after it was seen")
                if is_warm:
                    from_apply.append(ended - began)
                    from_seen.append(ended - seen)
    finally:
        cluster.kubectl("delete", KIND, f"--selector={LABEL}=overhead", "--ignore-not-found")
    return {
        "jobs": len(from_apply),
        "apply_to_succeeded_p50_seconds": round(statistics.median(from_apply), 2),
        "apply_to_succeeded_max_seconds": round(max(from_apply), 2),
        "seen_to_succeeded_p50_seconds": round(statistics.median(from_seen), 2),
    }


def main() -> None:
    """Measure a release and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--namespace", default="millrace")
    parser.add_argument("--pool", default="digits")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--record", default=json.dumps({"pixels": [0.0] * 64}), help="JSON object that the model takes")
    arguments = parser.parse_args()
    clean_up_when_told_to_stop()
    cluster = Cluster(arguments.namespace)
    conditions = servers.conditions()
    try:
        cluster.get("workerpools.millrace.dev", arguments.pool)
    except BenchError as error:
        raise BenchError(f"there is no pool to measure; run `make demo` first ({error})") from error
    record = json.loads(arguments.record)
    figures = measure(cluster, model=arguments.model, pool=arguments.pool, record=record)
    arguments.report.write_text(json.dumps({"conditions": conditions, **figures}, indent=2) + "\n")
    say(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
