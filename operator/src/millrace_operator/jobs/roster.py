"""All PredictionJobs of the cluster, of which only the open ones cost anything.

A cluster keeps thousands of jobs that have ended. They are looked at once, when the watch brings them, and then not
again before their time to live is over.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.reasons import JobState

Body = Mapping[str, Any]


class Roster:
    """The jobs as the watch brought them last."""

    def __init__(self) -> None:
        self._bodies: dict[str, Body] = {}
        self._taken: Sequence[Body] | None = None
        self._jobs: dict[str, PredictionJob] = {}
        self._active: dict[str, None] = {}
        """In the order in which they were seen."""
        self._told: set[str] = set()
        """Ended jobs of which nobody waits for word any more."""
        self._expiries: list[tuple[float, str]] = []
        """A heap; entries of jobs that changed since are passed over."""
        self._states: Counter[tuple[str, str]] = Counter()

    @property
    def jobs(self) -> Mapping[str, PredictionJob]:
        """All jobs, by uid."""
        return self._jobs

    @property
    def states(self) -> Mapping[tuple[str, str], int]:
        """How many jobs there are in each (namespace, state)."""
        return +self._states

    def take(self, bodies: Sequence[Body]) -> None:
        """Take in all objects; only those that are other objects than last time are looked at."""
        if bodies is self._taken:
            return
        self._taken = bodies
        for body in bodies:
            uid = body["metadata"]["uid"]
            if self._bodies.get(uid) is not body:
                self._put(uid, body)
        if len(self._bodies) != len(bodies):
            for uid in self._bodies.keys() - {body["metadata"]["uid"] for body in bodies}:
                self._remove(uid)

    def open(self, *, now: float) -> dict[str, PredictionJob]:
        """List the jobs that may need something now: active ones, and ended ones that are due to be deleted."""
        while self._expiries and self._expiries[0][0] <= now:
            _, uid = heapq.heappop(self._expiries)
            if uid in self._jobs:
                self._active[uid] = None
        return {uid: self._jobs[uid] for uid in self._active}

    def close(self, uid: str) -> None:
        """Set an ended job aside: everybody was told who had asked for it."""
        job = self._jobs.get(uid)
        if job is not None and job.is_finished:
            self._told.add(uid)
            self._set_aside(job)

    def _put(self, uid: str, body: Body) -> None:
        job = PredictionJob.from_body(body)
        before = self._jobs.get(uid)
        if before is not None:
            self._states[_state(before)] -= 1
        self._states[_state(job)] += 1
        self._bodies[uid], self._jobs[uid] = body, job
        if job.is_finished and (uid in self._told or not job.notifications):
            self._set_aside(job)
        else:
            self._active[uid] = None

    def _set_aside(self, job: PredictionJob) -> None:
        self._active.pop(job.uid, None)
        ttl_seconds, finished_at = job.ttl_seconds_after_finished, job.finished_at
        if ttl_seconds is not None and finished_at is not None:
            heapq.heappush(self._expiries, (finished_at + ttl_seconds, job.uid))

    def _remove(self, uid: str) -> None:
        self._states[_state(self._jobs.pop(uid))] -= 1
        del self._bodies[uid]
        self._active.pop(uid, None)
        self._told.discard(uid)


def _state(job: PredictionJob) -> tuple[str, str]:
    return job.namespace, str(job.status.get("state", JobState.PENDING.value))
