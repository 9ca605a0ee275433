"""Delete the ledgers of jobs that are gone.

A job needs no finalizer: deleting the object cancels it, because its ledger goes and shards without a ledger do
nothing. So uninstalling never hangs on an operator that is gone. Results are not deleted: in Redis they keep their
time to live, on a claim they are the user's files. But checkpoints beside them are, by a worker that is told to.

Two ways lead here. A job that was seen and is no longer there lost its object while we watched. A ledger whose job
was never seen was orphaned while nobody watched; it is deleted only after the API itself says that the job is gone.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from millrace_contracts.tasks import TidyTask
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import KubernetesError, PublishError
from millrace_operator.jobs.ledger import LedgerStore, LedgerUnreachable
from millrace_operator.jobs.ports import JobObjects, Publisher

SWEEP_SECONDS: Final = 60.0
SWEEP_LIMIT: Final = 50
"""Orphans that one sweep asks the API about; the next sweep takes the others."""

log = structlog.get_logger(__name__)


class Cleaner:
    """Deletes ledgers once their jobs are gone, and keeps at it while Redis is away."""

    def __init__(
        self, *, ledgers: LedgerStore, publisher: Publisher, objects: JobObjects, watches: Callable[[str], bool]
    ) -> None:
        self._ledgers = ledgers
        self._publisher = publisher
        self._objects = objects
        self._watches = watches
        self._results_ttl_by_uid: dict[str, int | None] = {}
        """Jobs that were seen and whose ledger may exist."""
        self._swept_at: float | None = None
        self._to_tidy = deque[TidyTask]()
        """What the broker did not take yet."""

    async def clean(self, jobs: Mapping[str, PredictionJob], *, now: float) -> None:
        """Delete the ledgers of jobs that are not in `jobs`, which is all of them by uid."""
        for uid in self._results_ttl_by_uid.keys() - jobs.keys():
            if not await self._delete(uid, self._results_ttl_by_uid[uid]):
                break
            del self._results_ttl_by_uid[uid]
        # An output never changes, so each job is looked at once.
        for uid in jobs.keys() - self._results_ttl_by_uid.keys():
            self._results_ttl_by_uid[uid] = jobs[uid].results_ttl_seconds
        if self._swept_at is None or now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            await self._sweep(jobs)
        await self._tidy()

    async def _sweep(self, jobs: Mapping[str, PredictionJob]) -> None:
        try:
            listed = await self._ledgers.list_jobs()
        except LedgerUnreachable as error:
            log.warning("ledgers not swept, trying again later", error=str(error))
            return
        strangers = [(uid, *name) for uid, name in listed.items() if uid not in jobs and self._watches(name[0])]
        for uid, namespace, name in strangers[:SWEEP_LIMIT]:
            if await self._is_gone(uid, namespace=namespace, name=name):
                await self._delete(uid, None)

    async def _is_gone(self, uid: str, *, namespace: str, name: str) -> bool:
        try:
            return await self._objects.find_uid(namespace=namespace, name=name) != uid
        except KubernetesError as error:
            log.warning("ledger kept, its job could not be looked up", job=f"{namespace}/{name}", error=str(error))
            return False

    async def _delete(self, uid: str, results_ttl_seconds: int | None) -> bool:
        try:
            left = await self._ledgers.delete(uid, results_ttl_seconds=results_ttl_seconds)
        except LedgerUnreachable as error:
            log.warning("ledger not deleted, trying again later", uid=uid, error=str(error))
            return False
        log.info("ledger deleted, its job is gone", uid=uid)
        if left is not None:
            self._to_tidy.append(left)
        return True

    async def _tidy(self) -> None:
        """Say what is to be removed, one after the other; the ledger goes first, because that ends the work."""
        while self._to_tidy:
            try:
                await self._publisher.publish_tidying(self._to_tidy[0])
            except PublishError as error:
                log.warning("checkpoints not removed, trying again", uid=self._to_tidy[0].job.uid, error=str(error))
                return
            self._to_tidy.popleft()
