"""Turn what ledgers say into the metrics of jobs.

Ledgers hold totals and Prometheus wants increments, so the last total of each job is remembered. The first look at a
job takes the totals of its status as known: what was done while the operator was away is counted then, and what was
done since the last status write before a restart (at most a few seconds) may be counted again by the new process.
Within one process nothing counts twice. Records that run again because Redis lost the ledger count again: they were
predicted again.
"""

from collections.abc import Mapping
from typing import Final

from millrace_contracts.errors import RecordError
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.ports import JobMetrics
from millrace_operator.jobs.readings import Ledger, LedgerReading

_OUTCOMES: Final = ("succeeded", "failed", "cached", "dead-lettered")
"""The last two are told beside the first two: the cached have succeeded, the dead-lettered have failed."""


class Tally:
    """Counts records by outcome and jobs by state."""

    def __init__(self, metrics: JobMetrics) -> None:
        self._metrics = metrics
        self._counted: dict[str, dict[str, int]] = {}
        self._failures: dict[str, dict[str, int]] = {}

    def count_records(self, job: PredictionJob, ledger: Ledger) -> None:
        """Add the records that were done since the last look; a ledger that cannot be read adds nothing."""
        if not isinstance(ledger, LedgerReading):
            return
        totals = {
            "succeeded": ledger.succeeded,
            "failed": ledger.failed,
            "cached": ledger.cached,
            "dead-lettered": ledger.dead_lettered,
        }
        if job.uid not in self._counted:
            self._begin(job)
        before = self._counted.get(job.uid) or _reported(job)
        is_anew = ledger.done < before["succeeded"] + before["failed"]
        for outcome, done in _new(totals, before, is_anew=is_anew).items():
            self._metrics.add_records(namespace=job.namespace, model=job.model_name, outcome=outcome, count=done)
        self._counted[job.uid] = totals
        failures = {failed.code: failed.count for failed in ledger.failures}
        known = self._failures.get(job.uid) or _reported_failures(job)
        for code, done in _new(failures, known, is_anew=is_anew).items():
            self._metrics.add_failures(namespace=job.namespace, model=job.model_name, code=code, count=done)
        self._failures[job.uid] = failures

    def _begin(self, job: PredictionJob) -> None:
        # A series that begins with its first count has no increase: Prometheus must have seen the 0 before.
        for outcome in _OUTCOMES:
            self._metrics.add_records(namespace=job.namespace, model=job.model_name, outcome=outcome, count=0)
        for code in RecordError:
            self._metrics.add_failures(namespace=job.namespace, model=job.model_name, code=code.value, count=0)

    def count_jobs(self, states: Mapping[tuple[str, str], int]) -> None:
        """Report how many jobs there are in each (namespace, state)."""
        self._metrics.set_jobs_by_state(states)

    def forget_all_but(self, uids: set[str]) -> None:
        """Forget jobs that are gone or have ended."""
        for known in (self._counted, self._failures):
            for uid in known.keys() - uids:
                del known[uid]


def _new(totals: Mapping[str, int], before: Mapping[str, int], *, is_anew: bool) -> dict[str, int]:
    """Find what came since the last look.

    A ledger that was lost began anew, and all of it is new. Else a count that fell is of records that came back from
    the dead-letter queue: metrics never fall, and where those went is counted there.
    """
    since = {name: total - (0 if is_anew else before.get(name, 0)) for name, total in totals.items()}
    return {name: done for name, done in since.items() if done > 0}


def _reported_failures(job: PredictionJob) -> Mapping[str, int]:
    return {failed["code"]: int(failed.get("count", 0)) for failed in job.status.get("failures") or ()}


def _reported(job: PredictionJob) -> Mapping[str, int]:
    records = job.status.get("records") or {}
    set_aside = {"dead-lettered": int((job.status.get("tasks") or {}).get("deadLettered", 0))}
    return {outcome: int(records.get(outcome, 0)) for outcome in ("succeeded", "failed", "cached")} | set_aside
