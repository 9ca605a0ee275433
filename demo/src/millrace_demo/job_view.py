"""What a person wants to know of a PredictionJob, read from the object. Unknown is None."""

from dataclasses import dataclass
from typing import Any, Self

from millrace_demo.kubectl import KubernetesObject


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A PredictionJob at one moment."""

    uid: str
    state: str
    total: int | None
    succeeded: int
    failed: int
    tasks_total: int | None
    throughput: str
    eta: str
    has_succeeded: bool | None
    """None while it is active."""
    reason: str
    message: str
    activity: str
    """What happens now, or why nothing does, in the operator's words; the outcome once it has ended."""

    @classmethod
    def of(cls, job: KubernetesObject) -> Self:
        """Read the object, whose status may be missing."""
        status: dict[str, Any] = job.get("status", {})
        records = status.get("records", {})
        total = records.get("total", -1)
        succeeded = condition(job, "Succeeded")
        return cls(
            uid=job["metadata"]["uid"],
            state=status.get("state", "Pending"),
            total=None if total < 0 else total,
            succeeded=records.get("succeeded", 0),
            failed=records.get("failed", 0),
            tasks_total=status.get("tasks", {}).get("total"),
            throughput=status.get("throughput", ""),
            eta=status.get("eta", ""),
            has_succeeded={"True": True, "False": False}.get(succeeded.get("status", "")),
            reason=succeeded.get("reason", ""),
            message=succeeded.get("message", ""),
            activity=_activity(job),
        )

    @property
    def done(self) -> int:
        """Records that have ended, well or not."""
        return self.succeeded + self.failed


def _activity(job: KubernetesObject) -> str:
    told = (condition(job, kind) for kind in ("Running", "Queued"))
    holding = (each["message"] for each in told if each.get("status") == "True")
    return next(holding, condition(job, "Succeeded").get("message", ""))


def condition(thing: KubernetesObject, kind: str) -> dict[str, str]:
    """Answer a condition of an object, empty when it has none of that type."""
    found = (each for each in thing.get("status", {}).get("conditions", ()) if each["type"] == kind)
    return next(found, {})


def conditions_in_words(thing: KubernetesObject) -> str:
    """List all conditions, one a line, for a person who wants to know why nothing moves."""
    conditions = thing.get("status", {}).get("conditions", ())
    lines = [f"  {each['type']}={each['status']} {each['reason']}: {each['message']}" for each in conditions]
    return "\n".join(lines) or "  no conditions: the operator has not seen it; is its pod running?"
