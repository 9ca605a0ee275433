"""A PredictionJob, reduced to what is documented for `--output json`, and in words."""

from collections.abc import Iterable
from typing import Any, Final

from millrace.cli.output import View
from millrace.cli.times import age, now

PLURAL: Final = "predictionjobs"
COUNTS: Final = ("total", "succeeded", "failed", "pending", "inFlight", "retried", "cached", "ignored")
TASK_COUNTS: Final = ("total", "succeeded", "active", "deadLettered")

VIEW = View(
    kind="predictionjob",
    nothing="There is no PredictionJob in this namespace.",
    columns={
        "NAME": lambda item: item["name"],
        "STATE": lambda item: item["state"],
        "MODEL": lambda item: item["model"],
        "PROGRESS": lambda item: item["progress"],
        "FAILED": lambda item: item["records"]["failed"],
        "THROUGHPUT": lambda item: item["throughput"],
        "ETA": lambda item: item["eta"],
        "POOL": lambda item: item["pool"],
        "AGE": lambda item: age(item["createdAt"], at=now()),
    },
)


def job_view(job: dict[str, Any]) -> dict[str, Any]:
    """Reduce a PredictionJob to what is documented; what is not known is null."""
    metadata, spec, status = job["metadata"], job.get("spec", {}), job.get("status") or {}
    ended: dict[str, Any] = next((each for each in status.get("conditions") or [] if each["type"] == "Succeeded"), {})
    verdict = {"True": True, "False": False}.get(ended.get("status", ""))
    records = status.get("records") or {}
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "createdAt": metadata.get("creationTimestamp"),
        "model": spec.get("model", {}).get("name"),
        "modelVersion": (status.get("model") or {}).get("version"),
        "pool": spec.get("workerPoolRef", {}).get("name"),
        "priority": spec.get("priority"),
        "suspend": bool(spec.get("suspend")),
        "state": status.get("state") or "Pending",
        "finished": verdict is not None,
        "succeeded": verdict,
        "reason": ended.get("reason"),
        "message": ended.get("message"),
        "records": {key: _known(records.get(key)) for key in COUNTS},
        "tasks": {key: _known((status.get("tasks") or {}).get(key)) for key in TASK_COUNTS},
        **{
            key: status.get(key)
            for key in (
                "progress",
                "percentComplete",
                "throughput",
                "throughputRecordsPerSecond",
                "eta",
                "estimatedCompletionTime",
                "attempt",
                "queueTime",
                "startTime",
                "lastProgressTime",
                "finishTime",
            )
        },
        "failures": status.get("failures") or [],
        "output": status.get("output") or {},
    }


def job_details(view: dict[str, Any]) -> Iterable[tuple[str, object]]:
    """Say what is known of a job."""
    records = view["records"]
    yield "Job", f"{view['namespace']}/{view['name']}"
    yield "State", view["state"]
    yield "Why", f"{view['reason'] or 'NotStarted'}: {view['message'] or 'the operator has not seen it yet'}"
    yield "Model", f"{view['model']} {view['modelVersion'] or ''}".strip()
    yield "Pool", view["pool"]
    yield "Records", ", ".join(f"{_shown(records[key])} {words}" for key, words in _WORDS.items())
    yield from _more_counts(view)
    yield "Throughput", view["throughput"]
    if not view["finished"]:
        yield "Time left", view["eta"] or "unknown"
        yield "Expected end", view["estimatedCompletionTime"]
    yield "Started", view["startTime"]
    yield "Finished", view["finishTime"]
    for name, uri in view["output"].items():
        yield _OUTPUT.get(name, name), uri
    for failure in view["failures"]:
        sample = f" (such as record {failure['sampleKey']!r})" if failure.get("sampleKey") else ""
        yield f"Failed: {failure['code']}", f"{failure['count']} records: {failure.get('message', '')}{sample}"


def _more_counts(view: dict[str, Any]) -> Iterable[tuple[str, object]]:
    """Say what is not nothing."""
    records, tasks = view["records"], view["tasks"]
    if also := ", ".join(f"{records[key]:,} {words}" for key, words in _ALSO.items() if records[key]):
        yield "Of them", also
    if tasks["total"]:
        yield "Tasks", f"{_shown(tasks['succeeded'])} of {_shown(tasks['total'])}, {_shown(tasks['active'])} at work"
    if tasks["deadLettered"]:
        yield "Dead letters", f"{tasks['deadLettered']:,} records; see `millrace dlq`"
    if (view["attempt"] or 1) > 1:
        yield "Attempt", view["attempt"]


_ALSO: Final = {"cached": "from the cache", "retried": "tried again", "ignored": "outside of the failure budget"}
_OUTPUT: Final = {
    "uri": "Results",
    "errorsURI": "Errors",
    "manifestURI": "Manifest",
    "expirationTime": "Results gone at",
}
_WORDS: Final = {
    "total": "in all",
    "succeeded": "succeeded",
    "failed": "failed",
    "inFlight": "in flight",
    "pending": "pending",
}


def _known(count: int | None) -> int | None:
    """The operator writes -1 where it does not know."""
    return None if count is None or count < 0 else count


def _shown(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
