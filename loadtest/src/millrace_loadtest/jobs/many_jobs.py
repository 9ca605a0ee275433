"""What the operator costs in a cluster of 10,000 PredictionJobs of which 200 are active, and how late their status is.

A real API server, Redis and RabbitMQ, and the operator as a process. In place of workers the ledgers of the active jobs
get on by one task a second: the operator sees no difference, and the load is the same on every machine.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import redis

from millrace_contracts import ledger
from millrace_contracts.resources import GROUP, PREDICTION_JOBS, VERSION, WORKER_POOLS
from millrace_loadtest.jobs import part
from millrace_loadtest.jobs.api_server import ApiServer, api_server
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.watching import now
from millrace_loadtest.pipeline import servers
from millrace_loadtest.pipeline.servers import Program, wait_for

NAMESPACE: Final = "millrace"
POOL: Final = "digits"
JOBS: Final = 10_000
ACTIVE: Final = 200
SHARDS: Final = 20_000
RECORDS_PER_SHARD: Final = 512
SETTLE_SECONDS: Final = 30.0
MEASURED_SECONDS: Final = 90.0
LOOK_SECONDS: Final = 2.0
MAKERS: Final = 16
ACTIVE_LABEL: Final = "millrace.dev/bench=active"


def url(plural: str) -> str:
    """Answer where the objects of a kind are."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{plural}"


def job(name: str, *, is_active: bool) -> dict[str, Any]:
    """Make a job; every tenth carries its records."""
    inline = {"inline": {"records": [{"pixels": [0.5] * 64}] * 20}}
    claim = {"persistentVolumeClaim": {"claimName": "data", "path": f"{name}.jsonl"}, "keyField": "id"}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "PredictionJob",
        "metadata": {"name": name, "labels": {"millrace.dev/bench": "active" if is_active else "ended"}},
        "spec": {
            "model": {"name": "digits"},
            "input": inline if name.endswith("0") and not is_active else claim,
            "output": {"redis": {}},
            "workerPoolRef": {"name": POOL},
            "ttlSecondsAfterFinished": 86_400,
        },
    }


def ended_status() -> dict[str, Any]:
    """Make the status of a job that has succeeded, as the operator leaves it."""
    at = datetime.fromtimestamp(now(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"status": "False", "reason": "Finished", "message": "The job has ended.", "lastTransitionTime": at}
    types = ("Validated", "Queued", "Running", "ResultsAvailable")
    succeeded = condition | {"type": "Succeeded", "status": "True", "reason": "AllRecordsSucceeded"}
    counts = {"total": 540, "succeeded": 540, "failed": 0, "pending": 0, "inFlight": 0, "retried": 0}
    return {
        "state": "Succeeded",
        "conditions": [*(condition | {"type": each} for each in types), succeeded],
        "records": counts | {"cached": 0, "ignored": 0},
        "progress": "540/540",
        "percentComplete": 100,
        "completedIndexes": "0-1",
        "startTime": at,
        "finishTime": at,
    }


async def make_jobs(server: ApiServer) -> None:
    """Make all jobs; those that are not active have ended already."""
    limits = httpx.Limits(max_connections=MAKERS)
    async with httpx.AsyncClient(
        base_url=server.address, headers=server.headers, verify=server.trust, limits=limits, timeout=60
    ) as client:
        names = iter(range(JOBS))

        async def make() -> None:
            for number in names:
                name, is_active = f"job-{number:05}", number < ACTIVE
                made = await client.post(url(PREDICTION_JOBS), json=job(name, is_active=is_active))
                made.raise_for_status()
                if not is_active:
                    patch = json.dumps({"status": ended_status()})
                    kind = {"Content-Type": "application/merge-patch+json"}
                    at = f"{url(PREDICTION_JOBS)}/{name}/status"
                    (await client.patch(at, content=patch, headers=kind)).raise_for_status()

        await asyncio.gather(*(make() for _ in range(MAKERS)))


class Tasks:
    """Stands for the workers: one task of each active job ends a second."""

    def __init__(self, client: redis.Redis, uids: Sequence[str]) -> None:
        self._client = client
        self._uids = uids
        self.ended_at: list[float] = []
        """When the n-th task of every job ended."""

    def plan(self) -> None:
        """Do what the plan would."""
        started: dict[Any, Any] = {"state": "dispatched", "total": SHARDS * RECORDS_PER_SHARD, "shards_total": SHARDS}
        started |= {"shards_dispatched": 64, "output_uri": "redis://bench", "first_shard_at": repr(now())}
        with self._client.pipeline(transaction=False) as pipeline:
            for uid in self._uids:
                pipeline.hset(ledger.job_key(uid), mapping=started)
            pipeline.execute()

    def end_one_each(self) -> None:
        """End one task of each job."""
        with self._client.pipeline(transaction=False) as pipeline:
            for uid in self._uids:
                key = ledger.job_key(uid)
                pipeline.setbit(ledger.done_key(uid), len(self.ended_at), 1)
                pipeline.hincrby(key, "succeeded", RECORDS_PER_SHARD)
                pipeline.hincrby(key, "shards_done", 1)
                pipeline.hset(key, "last_progress_at", repr(now()))
            pipeline.execute()
        self.ended_at.append(now())

    def lags(self, statuses: Sequence[dict[str, Any]], *, at: float) -> list[float]:
        """Answer for how long each status has not been true any more."""
        shown = [status.get("records", {}).get("succeeded", 0) // RECORDS_PER_SHARD for status in statuses]
        return [at - self.ended_at[tasks] if tasks < len(self.ended_at) else 0.0 for tasks in shown]


def operator(folder: Path, server: ApiServer, *, broker: servers.Server, store: servers.Server) -> Program:
    """Describe the operator's process."""
    environment = {
        "KUBECONFIG": str(server.write_kubeconfig(folder / "kubeconfig")),
        "MILLRACE_BROKER_URL": broker.url,
        "MILLRACE_BROKER_METRICS_URLS": "http://127.0.0.1:1",
        "MILLRACE_REDIS_URL": store.url,
        "MILLRACE_NAMESPACES": NAMESPACE,
        "MILLRACE_MODEL_NAMESPACE": NAMESPACE,
        "MILLRACE_METRICS_PORT": str(servers.free_port()),
        "MILLRACE_LIVENESS_PORT": str(servers.free_port()),
    }
    return Program([sys.executable, "-m", "millrace_operator"], environment, folder / "operator.log")


def memory_mib(program: Program, field: str) -> float:
    """Read the memory of a process: VmRSS is that of now, VmHWM the most that it ever had."""
    if program.process is None:
        return 0.0
    lines = Path(f"/proc/{program.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def measure(folder: Path) -> dict[str, Any]:
    """Measure the operator beside all jobs."""
    with ExitStack() as stack:
        server = stack.enter_context(api_server(folder / "api"))
        broker = stack.enter_context(servers.rabbitmq(folder / "rabbitmq"))
        store = stack.enter_context(servers.redis())
        client = stack.enter_context(
            httpx.Client(base_url=server.address, headers=server.headers, verify=server.trust, timeout=60)
        )
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        client.post("/api/v1/namespaces", json=space).raise_for_status()
        pool = {"workloadRef": {"name": POOL}, "queue": POOL, "maxReplicas": 3}
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "WorkerPool", "metadata": {"name": POOL}, "spec": pool}
        client.post(url(WORKER_POOLS), json=body).raise_for_status()
        say(f"    making {JOBS:,} jobs")
        asyncio.run(make_jobs(server))
        program = stack.enter_context(operator(folder, server, broker=broker, store=store))
        began = now()
        with redis.Redis.from_url(store.url, decode_responses=True) as reader:
            wait_for(lambda: reader.hlen(ledger.JOBS_KEY) == ACTIVE, what="the operator to submit", limit_seconds=180)
            say(f"    submitted after {now() - began:.0f} s")
            tasks = Tasks(reader, list(reader.hgetall(ledger.JOBS_KEY)))
            tasks.plan()
            return {"submitted_after_seconds": round(now() - began, 1)} | watch(program, tasks, client)


def wait_until(moment: float) -> None:
    """Return at a moment."""
    wait_for(lambda: now() >= moment, what="a second to pass")


def watch(program: Program, tasks: Tasks, client: httpx.Client) -> dict[str, Any]:
    """Let the jobs get on, and see what the operator makes of it."""
    began, computed, lags, resident = now(), 0.0, [], 0.0
    is_settled = False
    while now() < began + SETTLE_SECONDS + MEASURED_SECONDS:
        tasks.end_one_each()
        if not is_settled and now() >= began + SETTLE_SECONDS:
            is_settled, computed = True, program.cpu_seconds()
            measured_from = now()
        if is_settled and len(tasks.ended_at) % int(LOOK_SECONDS) == 0:
            listed = client.get(url(PREDICTION_JOBS), params={"labelSelector": ACTIVE_LABEL}).json()["items"]
            lags += tasks.lags([each.get("status", {}) for each in listed], at=now())
            resident = max(resident, memory_mib(program, "VmRSS"))
        wait_until(began + len(tasks.ended_at))
    took = now() - measured_from
    return {
        "jobs": JOBS,
        "active": ACTIVE,
        "seconds": round(took, 1),
        "operator_cores": round((program.cpu_seconds() - computed) / took, 3),
        "operator_resident_mib": round(resident, 1),
        "operator_peak_mib": round(memory_mib(program, "VmHWM"), 1),
        "status_lag_p95_seconds": round(statistics.quantiles(lags, n=20)[-1], 2),
        "status_lag_max_seconds": round(max(lags), 2),
    }


if __name__ == "__main__":
    part.main(measure, name="many_jobs")
