"""Turn what ledgers say into the metrics of jobs.

Ledgers hold totals and Prometheus wants increments, so the last total of each job is remembered. The first look at a
job takes the totals of its status as known: what was done while the operator was away is counted then, and what was
done since the last status write before a restart (at most a few seconds) may be counted again by the new process.
Within one process nothing counts twice. Records that run again because Redis lost the ledger count again: they were
predicted again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.ports import JobMetrics
from millrace_operator.jobs.readings import Ledger, LedgerReading
from millrace_operator.jobs.reasons import JobState


class Tally:
    """Counts records by outcome and jobs by state."""

    def __init__(self, metrics: JobMetrics) -> None:
        self._metrics = metrics
        self._counted: dict[str, dict[str, int]] = {}

    def count_records(self, job: PredictionJob, ledger: Ledger) -> None:
        """Add the records that were done since the last look; a ledger that cannot be read adds nothing."""
        if not isinstance(ledger, LedgerReading):
            return
        before = self._counted.get(job.uid) or _reported(job)
        totals = {"succeeded": ledger.succeeded, "failed": ledger.failed}
        for outcome, total in totals.items():
            # Fewer than before: the ledger was lost and began anew.
            done = total - before[outcome] if total >= before[outcome] else total
            if done:
                self._metrics.add_records(namespace=job.namespace, model=job.model_name, outcome=outcome, count=done)
        self._counted[job.uid] = totals

    def count_jobs(self, jobs: Iterable[PredictionJob]) -> None:
        """Report how many jobs there are in each state, and forget those that are gone."""
        present = list(jobs)
        states = Counter((job.namespace, str(job.status.get("state", JobState.PENDING.value))) for job in present)
        self._metrics.set_jobs_by_state(states)
        uids = {job.uid for job in present}
        for uid in self._counted.keys() - uids:
            del self._counted[uid]


def _reported(job: PredictionJob) -> Mapping[str, int]:
    records = job.status.get("records") or {}
    return {outcome: int(records.get(outcome, 0)) for outcome in ("succeeded", "failed")}
