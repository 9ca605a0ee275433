"""PredictionJobs as their users write and read them."""

import json
from collections.abc import Sequence
from typing import Any, Final

from claims import CLAIM, read_folder, records_in
from installation import Platform
from kubectl import Resource
from waiters import wait_until

KIND: Final = "predictionjobs.millrace.dev"
STATE_LIMIT_SECONDS: Final = 240.0


def inline(*records: dict[str, Any], key_field: str = "key") -> dict[str, Any]:
    """Answer an input of records that stand in the job."""
    return {"inline": {"records": list(records)}, "keyField": key_field}


def file_on_claim(path: str, *, claim: str = CLAIM, key_field: str = "key") -> dict[str, Any]:
    """Answer an input of a JSONL file on a claim."""
    return {"persistentVolumeClaim": {"claimName": claim, "path": path}, "keyField": key_field}


def job(
    name: str,
    source: dict[str, Any],
    *,
    model: str = "digits",
    version: str = "",
    pool: str = "digits",
    to_claim: bool = False,
    **spec: Any,
) -> Resource:
    """Answer a PredictionJob; results go to Redis, or to output/<name> on the claim; `spec` adds and replaces."""
    output = (
        {"persistentVolumeClaim": {"claimName": CLAIM, "path": f"output/{name}"}}
        if to_claim
        else {"redis": {"ttlSeconds": 3600}}
    )
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "PredictionJob",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": model, "version": version},
            "input": source,
            "output": output,
            "workerPoolRef": {"name": pool},
            **spec,
        },
    }


def slow_job(name: str, *, records: int, seconds_each: float, records_per_task: int = 2, **spec: Any) -> Resource:
    """Answer a job whose every record takes so long, one record a request, with results on the claim."""
    source = inline(*({"key": f"record-{number:03d}", "seconds": [seconds_each]} for number in range(records)))
    batching = {"recordsPerTask": records_per_task, "maxBatchSize": 1, "maxInFlightRequests": 1}
    return job(name, source, model="slow", to_claim=True, batching=batching, **spec)


def slow_keys(records: int) -> list[str]:
    """Answer the keys of a slow job's records."""
    return [f"record-{number:03d}" for number in range(records)]


def submit(platform: Platform, manifest: Resource) -> str:
    """Create a job, after removing an earlier one of its name, and answer its name."""
    name = str(manifest["metadata"]["name"])
    platform.kubectl.delete(KIND, name)
    platform.kubectl.apply(manifest)
    return name


def condition(resource: Resource, kind: str) -> Resource:
    """Answer a condition; an empty one where there is none."""
    conditions: list[Resource] = resource.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind), {})


def why_not_running(found: Resource) -> str:
    """Answer what all conditions of a job say, as one text."""
    conditions = found.get("status", {}).get("conditions", [])
    return " ".join(f"{entry['type']}={entry['status']} {entry['reason']}: {entry['message']}" for entry in conditions)


def ended(found: Resource) -> bool:
    """Say whether a job has succeeded or failed."""
    return condition(found, "Succeeded").get("status") in {"True", "False"}


def records(found: Resource) -> dict[str, int]:
    """Answer the counts of a job; empty before there are any."""
    counts: dict[str, int] = found.get("status", {}).get("records", {})
    return counts


def outcome(found: Resource) -> tuple[str, str]:
    """Answer the status and reason of the condition that says how a job ended."""
    succeeded = condition(found, "Succeeded")
    return succeeded.get("status", "absent"), succeeded.get("reason", "absent")


def wait_for_end(platform: Platform, name: str, *, timeout_seconds: float = STATE_LIMIT_SECONDS) -> Resource:
    """Wait until a job has succeeded or failed, and answer it."""

    def look() -> Resource | None:
        found = platform.kubectl.require(KIND, name)
        return found if ended(found) else None

    return wait_until(
        look,
        what=f"job {name} to end",
        timeout_seconds=timeout_seconds,
        interval_seconds=0.5,
        explain=lambda: describe(platform, name),
    )


def wait_until_working(platform: Platform, name: str, *, timeout_seconds: float = 180.0) -> Resource:
    """Wait until workers hold records of a job and some are done, so that what comes next happens in its middle."""

    def look() -> Resource | None:
        found = platform.kubectl.require(KIND, name)
        assert not ended(found), f"job {name} ended before it could be disturbed: {why_not_running(found)}"
        counts = records(found)
        return found if counts.get("inFlight", 0) > 0 and counts.get("succeeded", 0) > 0 else None

    return wait_until(
        look,
        what=f"job {name} to be in its middle",
        timeout_seconds=timeout_seconds,
        explain=lambda: describe(platform, name),
    )


def wait_until_it_says(platform: Platform, name: str, *words: str, timeout_seconds: float = 120.0) -> Resource:
    """Wait until the conditions of a running job hold all the words."""

    def look() -> Resource | None:
        found = platform.kubectl.require(KIND, name)
        assert not ended(found), f"job {name} ended: {why_not_running(found)}"
        return found if all(word.lower() in why_not_running(found).lower() for word in words) else None

    return wait_until(
        look,
        what=f"job {name} to say {' and '.join(words)}",
        timeout_seconds=timeout_seconds,
        interval_seconds=0.5,
        explain=lambda: describe(platform, name),
    )


def describe(platform: Platform, name: str) -> str:
    """Answer what a person would read about a job that does not get on."""
    return "\n" + platform.kubectl.explain("describe", KIND, name) + "\n" + platform.describe()


def counts_of(total: int, *, failed: int = 0) -> dict[str, int]:
    """Answer the counts of a job that has ended and left nothing."""
    return {"total": total, "succeeded": total - failed, "failed": failed, "pending": 0, "inFlight": 0}


def without_retries(counts: dict[str, int]) -> dict[str, int]:
    """Leave the counts that sum to the total; how often records were tried again depends on what was disturbed."""
    return {name: count for name, count in counts.items() if name in counts_of(0)}


def assert_complete(platform: Platform, found: Resource, keys: Sequence[str]) -> None:
    """Assert that a job to the claim counted every record once and wrote every key once."""
    name = found["metadata"]["name"]
    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    assert counts_of(len(keys)) == without_retries(records(found))
    written = [record["key"] for record in records_in(read_folder(platform.kubectl, f"output/{name}"))]
    assert sorted(keys) == sorted(written)


def results_in_redis(platform: Platform, uid: str, kind: str) -> dict[str, Any]:
    """Answer the results or errors of a job in Redis by record key."""
    stored: dict[str, str] = platform.redis("HGETALL", f"millrace:{{{uid}}}:{kind}")
    return {key: json.loads(value) for key, value in stored.items()}
