"""Add up what jobs hold back for each pool."""

from collections import Counter
from collections.abc import Mapping

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.readings import Ledger, LedgerMissing, LedgerReading


class HeldBack:
    """Remembers the last count of each job: while Redis is away that is the best that is known."""

    def __init__(self) -> None:
        self._jobs: Mapping[str, PredictionJob] = {}
        self._by_uid: dict[str, int] = {}
        self._unplanned: dict[str, None] = {}
        """A set that keeps its order."""

    @property
    def unplanned(self) -> list[str]:
        """The jobs that were being planned, those first that were seen first."""
        return list(self._unplanned)

    def count(self, jobs: Mapping[str, PredictionJob], ledgers: Mapping[str, Ledger]) -> dict[tuple[str, str], int]:
        """Count by namespace and name of the pool. A job with maxWorkers has all in the queue that it may use."""
        self._jobs = jobs
        for uid in (self._by_uid.keys() | self._unplanned.keys()) - jobs.keys():
            self._forget(uid)
        return self.count_again({uid: ledgers.get(uid, LedgerMissing()) for uid in jobs})

    def count_again(self, ledgers: Mapping[str, Ledger]) -> dict[tuple[str, str], int]:
        """Count again after some of the ledgers were read once more."""
        for uid in ledgers.keys() & self._jobs.keys():
            self._take(uid, ledgers[uid])
        by_pool: Counter[tuple[str, str]] = Counter()
        for uid, job in self._jobs.items():
            if job.max_workers is None and not job.is_to_be_suspended and not job.is_finished:
                by_pool[job.namespace, job.worker_pool_name] += self._by_uid.get(uid, 0)
        return dict(by_pool)

    def _take(self, uid: str, ledger: Ledger) -> None:
        if isinstance(ledger, LedgerMissing):
            self._forget(uid)
        elif isinstance(ledger, LedgerReading):
            self._by_uid[uid] = ledger.held_back
            if ledger.is_being_planned:
                self._unplanned.setdefault(uid)
            else:
                self._unplanned.pop(uid, None)

    def _forget(self, uid: str) -> None:
        self._by_uid.pop(uid, None)
        self._unplanned.pop(uid, None)
