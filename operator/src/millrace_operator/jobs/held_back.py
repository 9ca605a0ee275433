"""Add up what jobs hold back for each pool."""

from collections import Counter
from collections.abc import Mapping

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.readings import Ledger, LedgerMissing, LedgerReading


class HeldBack:
    """Remembers the last count of each job: while Redis is away that is the best that is known."""

    def __init__(self) -> None:
        self._by_uid: dict[str, int] = {}

    def count(self, jobs: Mapping[str, PredictionJob], ledgers: Mapping[str, Ledger]) -> dict[tuple[str, str], int]:
        """Count by namespace and name of the pool. A job with maxWorkers has all in the queue that it may use."""
        for uid in self._by_uid.keys() - jobs.keys():
            del self._by_uid[uid]
        by_pool: Counter[tuple[str, str]] = Counter()
        for uid, job in jobs.items():
            ledger = ledgers.get(uid, LedgerMissing())
            if isinstance(ledger, LedgerReading):
                self._by_uid[uid] = ledger.held_back
            elif isinstance(ledger, LedgerMissing):
                self._by_uid.pop(uid, None)
            if job.max_workers is None and not job.is_to_be_suspended and not job.is_finished:
                by_pool[job.namespace, job.worker_pool_name] += self._by_uid.get(uid, 0)
        return dict(by_pool)
