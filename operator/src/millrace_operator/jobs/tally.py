"""Turn what ledgers say into the metrics of jobs.

Ledgers hold totals and Prometheus wants increments, so the last total of each job is remembered. The first look at a
job takes the totals of its status as known: what was done while the operator was away is counted then, and what was
done since the last status write before a restart (at most a few seconds) may be counted again by the new process.
Within one process nothing counts twice. Records that run again because Redis lost the ledger count again: they were
predicted again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from millrace_contracts.errors import RecordError
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.ports import JobMetrics
from millrace_operator.jobs.readings import Ledger, LedgerReading
from millrace_operator.jobs.reasons import JobState


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
        totals = {"succeeded": ledger.succeeded, "failed": ledger.failed}
        if job.uid not in self._counted:
            self._begin(job)
        for outcome, done in _new(totals, self._counted.get(job.uid) or _reported(job)).items():
            self._metrics.add_records(namespace=job.namespace, model=job.model_name, outcome=outcome, count=done)
        self._counted[job.uid] = totals
        failures = {failed.code: failed.count for failed in ledger.failures}
        for code, done in _new(failures, self._failures.get(job.uid) or _reported_failures(job)).items():
            self._metrics.add_failures(namespace=job.namespace, model=job.model_name, code=code, count=done)
        self._failures[job.uid] = failures

    def _begin(self, job: PredictionJob) -> None:
        # A series that begins with its first count has no increase: Prometheus must have seen the 0 before.
        for outcome in ("succeeded", "failed"):
            self._metrics.add_records(namespace=job.namespace, model=job.model_name, outcome=outcome, count=0)
        for code in RecordError:
            self._metrics.add_failures(namespace=job.namespace, model=job.model_name, code=code.value, count=0)

    def count_jobs(self, jobs: Iterable[PredictionJob]) -> None:
        """Report how many jobs there are in each state, and forget those that are gone."""
        present = list(jobs)
        states = Counter((job.namespace, str(job.status.get("state", JobState.PENDING.value))) for job in present)
        self._metrics.set_jobs_by_state(states)
        uids = {job.uid for job in present}
        for known in (self._counted, self._failures):
            for uid in known.keys() - uids:
                del known[uid]


def _new(totals: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Find what came since the last look; fewer than before: the ledger was lost and began anew."""
    since = {name: total - before.get(name, 0) for name, total in totals.items()}
    return {name: totals[name] if done < 0 else done for name, done in since.items() if done}


def _reported_failures(job: PredictionJob) -> Mapping[str, int]:
    return {failed["code"]: int(failed.get("count", 0)) for failed in job.status.get("failures") or ()}


def _reported(job: PredictionJob) -> Mapping[str, int]:
    records = job.status.get("records") or {}
    return {outcome: int(records.get(outcome, 0)) for outcome in ("succeeded", "failed")}
