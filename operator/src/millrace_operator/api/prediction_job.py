"""The typed view of a PredictionJob: what the object says, before anything is decided about it.

The API server has filled the schema's defaults in and refused what the schema can know to be wrong. Objects from
before a default existed lack it, so optional fields are read with the same defaults here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millrace_operator.api.conditions import find_condition
from millrace_operator.api.timestamps import to_epoch_seconds

DEFAULT_PRIORITY: Final = 4

SUCCEEDED = "Succeeded"
"""The summary condition: Unknown while the job is active, True or False once and for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionJob:
    """A bounded set of records through one model, as the cluster holds it."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    is_being_deleted: bool
    created: str = ""
    """As the object carries it."""
    spec: Mapping[str, Any] = field(repr=False)
    status: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "PredictionJob":
        """View an object of the API as a job; nothing is copied."""
        metadata = body["metadata"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=int(metadata.get("generation", 0)),
            resource_version=str(metadata.get("resourceVersion", "")),
            is_being_deleted=bool(metadata.get("deletionTimestamp")),
            created=str(metadata.get("creationTimestamp") or ""),
            spec=body.get("spec") or {},
            status=body.get("status") or {},
        )

    @property
    def model_name(self) -> str:
        """The model's name on Triton."""
        return str((self.spec.get("model") or {}).get("name", ""))

    @property
    def worker_pool_name(self) -> str:
        """The WorkerPool whose workers predict."""
        return str((self.spec.get("workerPoolRef") or {}).get("name", ""))

    @property
    def inline_count(self) -> int | None:
        """How many records stand in the object itself; None when the input is elsewhere."""
        inline = (self.spec.get("input") or {}).get("inline")
        if inline is None:
            return None
        return int(inline["recordCount"]) if "recordCount" in inline else len(inline.get("records") or ())

    @property
    def results_ttl_seconds(self) -> int | None:
        """How long results in Redis stay; None when the results are elsewhere."""
        redis = (self.spec.get("output") or {}).get("redis")
        return None if redis is None else int(redis.get("ttlSeconds", 86_400))

    @property
    def errors_topic(self) -> str | None:
        """The Kafka topic of failed records; None when the results are elsewhere."""
        kafka = (self.spec.get("output") or {}).get("kafka")
        return None if kafka is None else str(kafka.get("errorsTopic") or kafka.get("topic", ""))

    @property
    def priority(self) -> int:
        """Of the job's tasks in the queue; higher goes first."""
        return int(self.spec.get("priority", DEFAULT_PRIORITY))

    @property
    def max_workers(self) -> int | None:
        """How many workers the job may keep busy; None is all of the pool's."""
        value = (self.spec.get("concurrency") or {}).get("maxWorkers")
        return None if value is None else int(value)

    @property
    def is_to_be_suspended(self) -> bool:
        """Whether the job is not to begin tasks now."""
        return bool(self.spec.get("suspend", False))

    @property
    def is_dry_run(self) -> bool:
        """Whether the input is only checked."""
        return bool(self.spec.get("dryRun", "None") != "None")

    @property
    def partial_failure_fails(self) -> bool:
        """Whether a job of which some records failed is called failed."""
        return bool((self.spec.get("failurePolicy") or {}).get("onPartialFailure", "Succeed") == "Fail")

    @property
    def notifications(self) -> Sequence[Mapping[str, Any]]:
        """Who is told what happens to the job."""
        return self.spec.get("notifications") or ()

    @property
    def queueing_deadline_seconds(self) -> int | None:
        """How long the job may wait for a worker to begin its first task; None is for ever."""
        value = self.spec.get("queueingDeadlineSeconds")
        return None if value is None else int(value)

    @property
    def active_deadline_seconds(self) -> int | None:
        """How long the job may take; None is for ever."""
        value = self.spec.get("activeDeadlineSeconds")
        return None if value is None else int(value)

    @property
    def ttl_seconds_after_finished(self) -> int | None:
        """How long the finished object is kept; None is for ever."""
        value = self.spec.get("ttlSecondsAfterFinished")
        return None if value is None else int(value)

    @property
    def conditions(self) -> Sequence[Mapping[str, Any]]:
        """The conditions that were reported last."""
        return self.status.get("conditions") or []

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended. It never goes on after that."""
        condition = find_condition(self.conditions, SUCCEEDED)
        return condition is not None and condition.get("status") in {"True", "False"}

    @property
    def started_at(self) -> float | None:
        """When the job was first submitted, in seconds since the epoch; the deadline counts from here."""
        return self._time("startTime")

    @property
    def created_at(self) -> float | None:
        """When the object was made, in seconds since the epoch."""
        return None if not self.created else to_epoch_seconds(self.created)

    @property
    def finished_at(self) -> float | None:
        """When the job ended, in seconds since the epoch."""
        return self._time("finishTime")

    def _time(self, name: str) -> float | None:
        text = self.status.get(name)
        return None if text is None else to_epoch_seconds(str(text))
