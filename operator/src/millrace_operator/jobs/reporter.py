"""Write the status of jobs, no more often than it helps, and tell people what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.jobs.announcements import announce
from millrace_operator.jobs.ports import JobObjects
from millrace_operator.jobs.status import says_something_new

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    status: Mapping[str, Any] | None
    """None once the watch has brought it."""
    resource_version: str
    at: float


class Reporter:
    """Writes statuses that changed: another state or condition at once, other counts at most once per interval."""

    def __init__(self, objects: JobObjects, *, interval_seconds: float) -> None:
        self._objects = objects
        self._interval_seconds = interval_seconds
        self._written: dict[str, _Written] = {}

    def up_to_date(self, job: PredictionJob) -> PredictionJob:
        """See the job with the status that was written last, while the watch has not brought it yet."""
        written = self._written.get(job.uid)
        if written is None or written.status is None:
            return job
        if _is_at_least(job.resource_version, written.resource_version):
            self._written[job.uid] = replace(written, status=None)
            return job
        return replace(job, status=written.status)

    def forget_all_but(self, uids: set[str]) -> None:
        """Forget jobs that are gone."""
        for uid in self._written.keys() - uids:
            del self._written[uid]

    def is_due(self, job: PredictionJob, status: Mapping[str, Any], *, now: float) -> bool:
        """Tell whether the job's status is to be brought to `status` now."""
        return status != job.status and (says_something_new(job.status, status) or self._is_time(job.uid, now=now))

    async def report(self, job: PredictionJob, status: Mapping[str, Any], *, now: float) -> None:
        """Bring the job's status to `status`; a write that fails is tried again at the next look."""
        try:
            resource_version = await self._objects.replace_status(job, status)
            self._written[job.uid] = _Written(status=status, resource_version=resource_version, at=now)
            for event in announce(job.status, status):
                log.info("job", job=f"{job.namespace}/{job.name}", reason=event.reason, message=event.message)
                await self._objects.record_event(job, event)
        except ObjectNotFound:
            log.info("status not written, the job is gone", job=f"{job.namespace}/{job.name}")
        except KubernetesError as error:
            log.warning("status or event not written", job=f"{job.namespace}/{job.name}", error=str(error))

    def _is_time(self, uid: str, *, now: float) -> bool:
        written = self._written.get(uid)
        return written is None or now - written.at >= self._interval_seconds


def _is_at_least(resource_version: str, other: str) -> bool:
    # Opaque by the letter of the API, decimal and growing in every Kubernetes there is. Where not: trust the watch.
    try:
        return int(resource_version) >= int(other)
    except ValueError:
        return True
