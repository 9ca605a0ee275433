"""Do what was decided about a job."""

from collections.abc import Callable
from typing import assert_never

import structlog

from millrace_contracts.tasks import PlanTask
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import KubernetesError, PublishError
from millrace_operator.jobs.ledger import LedgerStore, LedgerUnreachable
from millrace_operator.jobs.ports import JobObjects, PlanPublisher
from millrace_operator.jobs.reasons import Reason
from millrace_operator.jobs.steps import Action, DeleteObject, JobEvent, PublishPlan, Stop, Submit

log = structlog.get_logger(__name__)


class Executor:
    """Carries actions out, in their order; what fails is decided, and so tried, again at the next look."""

    def __init__(self, *, ledgers: LedgerStore, publisher: PlanPublisher, objects: JobObjects) -> None:
        self._ledgers = ledgers
        self._publisher = publisher
        self._objects = objects
        self._publish_trouble_by_uid: dict[str, str] = {}
        self._broker_trouble = ""

    def publish_trouble(self, uid: str) -> str:
        """Tell why the last try to publish the job's plan failed; empty when it did not."""
        return self._publish_trouble_by_uid.get(uid, "")

    def begin_pass(self, uids: set[str]) -> None:
        """Try the broker anew, and forget jobs that are not in `uids`."""
        self._broker_trouble = ""
        self._publish_trouble_by_uid = {u: t for u, t in self._publish_trouble_by_uid.items() if u in uids}

    async def carry_out(
        self, job: PredictionJob, actions: tuple[Action, ...], *, is_there: Callable[[], bool], now: float
    ) -> bool:
        """Carry out the actions; answer whether the ledger may have changed. Nothing is done for a job that is gone."""
        try:
            for action in actions:
                # Asked anew before each: a ledger made for a job that was deleted meanwhile would stay until the sweep.
                if not is_there():
                    return False
                await self._do(job, action, now=now)
        except (LedgerUnreachable, KubernetesError) as error:
            log.warning("job not advanced, trying again", job=f"{job.namespace}/{job.name}", error=str(error))
        return bool(actions)

    async def _do(self, job: PredictionJob, action: Action, *, now: float) -> None:
        match action:
            case Submit():
                await self._ledgers.submit(uid=job.uid, namespace=job.namespace, name=job.name, now=now)
                if action.is_again:
                    await self._objects.record_event(job, _LEDGER_LOST)
            case PublishPlan():
                await self._publish(job, action.task, now=now)
            case Stop():
                await self._ledgers.stop(job.uid, reason=action.reason, message=action.message)
            case DeleteObject():
                await self._objects.delete(job)
                log.info("job deleted, its time to live is over", job=f"{job.namespace}/{job.name}")
            case _:
                assert_never(action)

    async def _publish(self, job: PredictionJob, task: PlanTask, *, now: float) -> None:
        # One failure stands for all jobs of this pass: each try may take seconds while the broker is away.
        if not self._broker_trouble:
            try:
                await self._publisher.publish_plan(task)
            except PublishError as error:
                log.warning("plan not published, trying again", job=f"{job.namespace}/{job.name}", error=str(error))
                self._broker_trouble = str(error)
        if self._broker_trouble:
            self._publish_trouble_by_uid[job.uid] = self._broker_trouble
            return
        self._publish_trouble_by_uid.pop(job.uid, None)
        await self._ledgers.note_plan_published(job.uid, now=now)


_LEDGER_LOST = JobEvent(
    type="Warning",
    reason=Reason.LEDGER_LOST,
    message="Redis lost this job's ledger, so the job runs again from the start; results are overwritten, not doubled.",
)
