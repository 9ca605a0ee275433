"""Do what was decided about a job."""

from collections.abc import Callable, Coroutine
from typing import Any, Literal, assert_never

import structlog

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import KubernetesError, PublishError
from millrace_operator.jobs.ledger import LedgerStore, LedgerUnreachable
from millrace_operator.jobs.ports import JobObjects, Publisher
from millrace_operator.jobs.reasons import Reason
from millrace_operator.jobs.steps import (
    Action,
    DeleteObject,
    DispatchAnew,
    JobEvent,
    Notify,
    PublishPlan,
    Stop,
    Submit,
    Suspend,
    Tidy,
)

log = structlog.get_logger(__name__)


class Executor:
    """Carries actions out, in their order; what fails is decided, and so tried, again at the next look."""

    def __init__(self, *, ledgers: LedgerStore, publisher: Publisher, objects: JobObjects) -> None:
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
                await self._submit(job, action, now=now)
            case PublishPlan():
                await self._publish_plan(job, action, now=now)
            case Suspend():
                await self._ledgers.suspend(job.uid)
            case DispatchAnew():
                await self._dispatch_anew(job, action)
            case Notify():
                await self._notify(job, action, now=now)
            case Stop():
                await self._ledgers.stop(job.uid, reason=action.reason, message=action.message)
            case Tidy():
                await self._tidy(job, action, now=now)
            case DeleteObject():
                await self._objects.delete(job)
                log.info("job deleted, its time to live is over", job=f"{job.namespace}/{job.name}")
            case _:
                assert_never(action)

    async def _submit(self, job: PredictionJob, action: Submit, *, now: float) -> None:
        await self._ledgers.submit(uid=job.uid, namespace=job.namespace, name=job.name, now=now, attempt=action.attempt)
        if action.attempt > 1:
            await self._objects.record_event(job, _LEDGER_LOST)

    async def _publish_plan(self, job: PredictionJob, action: PublishPlan, *, now: float) -> None:
        if await self._publish(job, self._publisher.publish_plan(action.task)):
            await self._ledgers.note_plan_published(job.uid, now=now, share=action.share)

    async def _tidy(self, job: PredictionJob, action: Tidy, *, now: float) -> None:
        if await self._publish(job, self._publisher.publish_tidying(action.task)):
            await self._ledgers.note_tidied(job.uid, now=now)

    async def _dispatch_anew(self, job: PredictionJob, action: DispatchAnew) -> None:
        if not await self._ledgers.dispatch_anew(job.uid, note=action.note):
            return
        log.info("dispatched anew", job=f"{job.namespace}/{job.name}", reason=action.reason.value)
        # The end of a suspension is told with the status that says so.
        if action.reason is not Reason.RESUMED:
            kind: Literal["Normal", "Warning"] = "Warning" if action.reason is Reason.MESSAGES_LOST else "Normal"
            event = JobEvent(type=kind, reason=action.reason, message=action.message)
            await self._objects.record_event(job, event)

    async def _notify(self, job: PredictionJob, action: Notify, *, now: float) -> None:
        if action.event is not None:
            await self._objects.record_event(job, action.event)
        elif action.task is not None and not await self._publish(
            job, self._publisher.publish_notification(action.task, notice=action.notice)
        ):
            return
        await self._ledgers.note_notified(job.uid, action.notice, now=now)

    async def _publish(self, job: PredictionJob, publishing: Coroutine[Any, Any, None]) -> bool:
        # One failure stands for all jobs of this pass: each try may take seconds while the broker is away.
        if self._broker_trouble:
            publishing.close()
        else:
            try:
                await publishing
            except PublishError as error:
                log.warning("not published, trying again", job=f"{job.namespace}/{job.name}", error=str(error))
                self._broker_trouble = str(error)
        if self._broker_trouble:
            self._publish_trouble_by_uid[job.uid] = self._broker_trouble
            return False
        self._publish_trouble_by_uid.pop(job.uid, None)
        return True


_LEDGER_LOST = JobEvent(
    type="Warning",
    reason=Reason.LEDGER_LOST,
    message=(
        "Redis lost this job's ledger. What is noted beside its results is not done again, all else is; results are "
        "overwritten, not doubled."
    ),
)
