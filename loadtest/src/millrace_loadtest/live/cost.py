"""Measure what the operator costs at 250, 500 and 1,000 pools: its tick, its CPU, its memory, and how they grow.

A thousand WorkerPools with their Deployments, a thousand quorum queues in a real broker, and a load that changes on a
hundred of them. No scheduler takes the pods that the operator asks for: what it does is measured, not what they do.

The bench shares its two cores with all of that, so it must not disturb what it measures. It scrapes every 30 s, as a
Prometheus does, but takes only the few series that it needs out of the text: to parse those of a thousand pools in
Python took a core for more than a second each time, and the slowest passes were those beside it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from millrace_contracts.metrics import LOOP_FAILURES, LOOP_SECONDS
from millrace_loadtest.live.cluster import BenchError, Cluster, Resource, clean_up_when_told_to_stop, wait_until
from millrace_loadtest.live.comparison import verdicts
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.rig import WORKER_IMAGE, deployment, rig
from millrace_loadtest.live.scalers import RELEASE, operator, worker_pool
from millrace_loadtest.live.watching import now

NAMESPACE: Final = "millrace-cost"
SIZES: Final = (250, 500, 1000)
BUSY_SHARE: Final = 0.1
MAX_REPLICAS: Final = 3
BATCH: Final = 100
SETTLE_SECONDS: Final = 40.0
SCRAPE_SECONDS: Final = 30.0
"""As a Prometheus does; what it costs to answer is part of the operator's cost."""
OPERATOR: Final = f"deployment/{RELEASE}-operator"
METRICS_PORT: Final = 8080
SCRAPE_TIMEOUT_SECONDS: Final = 10.0
NEEDED: Final = ("process_", LOOP_SECONDS.name, LOOP_FAILURES.name)
"""How the series begin of which the figures are made."""
# Process 1 is tini: the operator's is the one of all that ever had most.
PEAKS: Final = "grep -h VmHWM /proc/[0-9]*/status"
Samples = dict[str, float]


def pools_of(numbers: Sequence[int]) -> list[Resource]:
    """Make the Deployments and WorkerPools of these numbers."""
    made = []
    for number in numbers:
        name = f"pool-{number:04}"
        container = {"image": WORKER_IMAGE, "resources": {"requests": {"cpu": "1m"}}}
        made.append(deployment(name, container, replicas=0, schedulerName="nobody"))
        made.append(worker_pool(name, deployment=name, queue=name, cap=MAX_REPLICAS, idleSeconds=10))
    return made


@contextmanager
def held_queues(cluster: Cluster, count: int) -> Iterator[None]:
    """Have so many queues, some of them changing, while the context is open."""
    command = ("exec", "--stdin", "deployment/player", "--", "python", "/bench/hold_queues.py")
    with cluster.stream(*command, str(count), str(int(BUSY_SHARE * count)), stdin=None) as lines:
        if next(lines, "") != "declared":
            raise BenchError("the queues could not be declared; see the broker's log")
        yield


@contextmanager
def metrics_of_operator(cluster: Cluster) -> Iterator[str]:
    """Answer where the operator's metrics are while the context is open; the NetworkPolicy does not mind kubectl."""
    with cluster.stream("port-forward", OPERATOR, f":{METRICS_PORT}", stdin=None) as lines:
        found = re.search(r"127\.0\.0\.1:\d+", next(lines, ""))
        if found is None:
            raise BenchError("kubectl forwards no port of the operator; see whether its pod runs")
        yield f"http://{found[0]}/metrics"


def read(address: str) -> Samples:
    """Answer the operator's own metrics."""
    try:
        # Uncompressed: to unpack them would cost more than to take them.
        answer = httpx.get(
            address, headers={"Accept-Encoding": "identity"}, timeout=SCRAPE_TIMEOUT_SECONDS, trust_env=False
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BenchError(f"the operator's metrics could not be read ({error!r}); see its log") from error
    return samples_in(answer.text)


def samples_in(text: str) -> Samples:
    """Take the process's and the pool loop's samples out of an exposition, and parse no others."""
    lines = [line for line in text.splitlines() if line.startswith(NEEDED)]
    seen: Samples = {}
    for family in text_string_to_metric_families("\n".join(lines)):
        for sample in family.samples:
            if sample.name.startswith("process_"):
                seen[sample.name] = sample.value
            elif sample.labels["loop"] == "pools":
                seen[f"{sample.name} {sample.labels.get('le', '')}".strip()] = sample.value
    return seen


def peak_bytes(cluster: Cluster) -> float:
    """Answer the most memory that the operator ever had."""
    answer = cluster.kubectl("exec", OPERATOR, "--", "sh", "-c", PEAKS)
    return max(float(line.split()[1]) for line in answer.splitlines()) * 1024


def quantile_of_buckets(before: Samples, after: Samples, share: float) -> float:
    """Answer the upper end of the bucket that holds the quantile, narrowed as Prometheus does it."""
    prefix = f"{LOOP_SECONDS.name}_bucket "
    buckets = sorted(
        (float(key.removeprefix(prefix)), after[key] - before.get(key, 0.0)) for key in after if key.startswith(prefix)
    )
    rank, below, floor = share * buckets[-1][1], 0.0, 0.0
    for limit, count in buckets:
        if count >= rank:
            return (
                floor + (limit - floor) * (rank - below) / max(1.0, count - below) if limit != float("inf") else limit
            )
        below, floor = count, limit
    return float("inf")


def wait_for_seconds(seconds: float) -> None:
    """Let the operator work."""
    due = now() + seconds
    wait_until(lambda: now() >= due, what="some seconds to pass", timeout_seconds=seconds + 5)


def measure(cluster: Cluster, *, pools: int, seconds: float) -> dict[str, Any]:
    """Watch the operator for some time."""
    wait_for_seconds(SETTLE_SECONDS)
    with metrics_of_operator(cluster) as address:
        began, before = now(), read(address)
        latest, resident = before, before["process_resident_memory_bytes"]
        while now() < began + seconds:
            wait_for_seconds(min(SCRAPE_SECONDS, seconds))
            latest = read(address)
            resident = max(resident, latest["process_resident_memory_bytes"])
        took = now() - began
    passes = latest[f"{LOOP_SECONDS.name}_count"] - before[f"{LOOP_SECONDS.name}_count"]
    failures = f"{LOOP_FAILURES.name}"
    return {
        "pools": pools,
        "seconds": round(took, 1),
        "passes": int(passes),
        "tick_mean_seconds": round(
            (latest[f"{LOOP_SECONDS.name}_sum"] - before[f"{LOOP_SECONDS.name}_sum"]) / max(1.0, passes), 4
        ),
        "tick_p50_seconds": round(quantile_of_buckets(before, latest, 0.5), 4),
        "tick_p99_seconds": round(quantile_of_buckets(before, latest, 0.99), 4),
        "failed_passes": int(latest.get(failures, 0.0) - before.get(failures, 0.0)),
        "cores": round((latest["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / took, 3),
        "resident_mib": round(resident / 2**20, 1),
        "peak_mib": round(peak_bytes(cluster) / 2**20, 1),
    }


def growth(runs: Sequence[dict[str, Any]], figure: str) -> float:
    """Answer by how much a pool's share of the largest run exceeds its share of the smallest; 1 is linear."""
    small, large = runs[0], runs[-1]
    share_of_large, share_of_small = (float(each[figure]) / float(each["pools"]) for each in (large, small))
    return round(share_of_large / share_of_small, 3)


def run_sizes(cluster: Cluster, sizes: Sequence[int], *, seconds: float) -> list[dict[str, Any]]:
    """Measure one size after the other; what exists stays and more is added."""
    runs: list[dict[str, Any]] = []
    made = 0
    for size in sizes:
        say(f"    making {size - made} more pools")
        for first in range(made, size, BATCH):
            cluster.apply(pools_of(range(first, min(size, first + BATCH))), timeout_seconds=300)
            say(f"    {min(size, first + BATCH)} pools")
        made = size
        with held_queues(cluster, size):
            runs.append(measure(cluster, pools=size, seconds=seconds if size == sizes[-1] else seconds / 3))
        say(f"    {json.dumps(runs[-1])}")
    return runs


def checks(runs: Sequence[dict[str, Any]], limits: dict[str, float]) -> list[dict[str, Any]]:
    """Compare the largest run with the thresholds; how costs grow is not known from one size."""
    measured = {name: runs[-1][name] for name in ("tick_p99_seconds", "cores", "peak_mib", "failed_passes")}
    if len(runs) > 1:
        measured["growth_of_tick"] = growth(runs, "tick_mean_seconds")
        measured["growth_of_cores"] = growth(runs, "cores")
    return [
        {"name": name, "measured": measured[name], "at_most": limit, "is_met": measured[name] <= limit}
        for name, limit in limits.items()
        if name in measured
    ]


def main() -> int:
    """Measure all sizes, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of pools, from small to large")
    parser.add_argument("--seconds", type=float, default=180.0, help="of the largest size; the others take a third")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    clean_up_when_told_to_stop()
    cluster = Cluster(NAMESPACE)
    try:
        with rig(cluster), operator(cluster):
            runs = run_sizes(cluster, [int(each) for each in arguments.sizes.split(",")], seconds=arguments.seconds)
            # Before anything is removed: taking away a thousand objects may fail too.
            judged = checks(runs, yaml.safe_load(arguments.thresholds.read_text()))
            arguments.report.write_text(json.dumps({"runs": runs, "thresholds": judged}, indent=2) + "\n")
            print(verdicts(judged))  # noqa: T201 - the report is for the terminal
    except BenchError as error:
        sys.exit(f"The benchmark broke off: {error}")
    return 0 if all(each["is_met"] for each in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
