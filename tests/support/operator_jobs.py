"""Builders of PredictionJobs, ledgers and pools as the operator sees them."""

from typing import Any

from millrace_operator.api.conditions import find_condition
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.readings import JobView, Ledger, LedgerReading, PoolView

UID = "0b7c6f0e-0000-4000-8000-000000000001"
NOW = 1_800_000_000.0
POOL = PoolView(name="digits", queue="digits", ready_replicas=1)


def job_body(
    *, name: str = "digits", uid: str = UID, status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Build a PredictionJob as the API returns it; `spec` replaces or adds fields."""
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "PredictionJob",
        "metadata": {"namespace": "millrace", "name": name, "uid": uid, "generation": 1, "resourceVersion": "10"},
        "spec": {
            "model": {"name": "digits", "version": ""},
            "input": {"persistentVolumeClaim": {"claimName": "digits", "path": "held-out.jsonl"}, "keyField": "id"},
            "output": {"redis": {"ttlSeconds": 3600}},
            "workerPoolRef": {"name": "digits"},
        }
        | spec,
        "status": status or {},
    }


def pool_body(*, name: str = "digits", queue: str = "digits", **status: Any) -> dict[str, Any]:
    """Build a WorkerPool as the API returns it."""
    return {"metadata": {"namespace": "millrace", "name": name}, "spec": {"queue": queue}, "status": status}


def job(*, status: dict[str, Any] | None = None, **spec: Any) -> PredictionJob:
    """Build a job."""
    return PredictionJob.from_body(job_body(status=status, **spec))


def view(
    seen: PredictionJob,
    ledger: Ledger,
    *,
    pool: PoolView | None = POOL,
    pool_names: tuple[str, ...] = ("digits",),
    **kw: Any,
) -> JobView:
    """Build all that is known of a job."""
    return JobView(job=seen, ledger=ledger, pool=pool, pool_names=pool_names, **kw)


def running(**fields: Any) -> LedgerReading:
    """Build the ledger of a job of 540 records in three tasks whose first has ended."""
    known: dict[str, Any] = {
        "state": "dispatched",
        "submitted_at": NOW - 30,
        "plan_published_at": NOW - 29,
        "plan_publications": 1,
        "total": 540,
        "shards_total": 3,
        "shards_done": 1,
        "succeeded": 200,
        "in_flight": 200,
        "first_shard_at": NOW - 20,
        "last_progress_at": NOW - 10,
        "output_uri": f"redis://redis:6379/0/millrace:{{{UID}}}:results",
    }
    return LedgerReading(**(known | fields))


def submitted(**fields: Any) -> LedgerReading:
    """Build the ledger of a job whose plan no worker has begun."""
    return LedgerReading(**({"state": "submitted", "submitted_at": NOW - 10} | fields))


def finalized(**fields: Any) -> LedgerReading:
    """Build the ledger of a job whose records all succeeded."""
    ended: dict[str, Any] = {
        "state": "finalized",
        "shards_done": 3,
        "succeeded": 540,
        "in_flight": 0,
        "last_shard_at": NOW - 2,
        "finalized_at": NOW - 1,
        "manifest_uri": "manifest",
    }
    return running(**(ended | fields))


def verdict(status: Any, condition_type: str) -> tuple[str, str]:
    """Return status and reason of a condition; empty when nothing is said."""
    found = find_condition(status.get("conditions") or (), condition_type) or {}
    return str(found.get("status", "")), str(found.get("reason", ""))


def message(status: Any, condition_type: str) -> str:
    """Return the message of a condition."""
    found = find_condition(status.get("conditions") or (), condition_type) or {}
    return str(found.get("message", ""))
