"""Between Celery and the tasks: read the payload, run it, and see to it that the message ends well.

| what happened                     | what becomes of the message                                                     |
| --------------------------------- | ------------------------------------------------------------------------------- |
| done, or nothing was left to do   | acked                                                                           |
| the job is impossible             | the reason goes into the ledger; acked                                          |
| something is unavailable          | published again with a countdown, for ever; acked: the slot is free meanwhile   |
| it cannot be understood           | dead-letter queue                                                               |
| a shard: time limit or a defect   | back to the queue; after a few starts the ledger calls the shard poison         |
| plan: time limit or a defect      | stops the job as InputInvalid, naming the error                                 |
| notify: nobody takes it           | comes again for a day, then, or if it is refused, it is given up with a log line |

Celery's own retry dead-letters a message whose copy it cannot publish; a shard would be lost that way, so here it goes
back to the queue instead.
"""

from collections.abc import Callable
from typing import Any

from millrace_contracts.errors import JobFailure
from millrace_contracts.tasks import (
    FINALIZE,
    NOTIFY,
    PLAN,
    PREDICT_SHARD,
    TIDY,
    FinalizeTask,
    JobRef,
    NotifyTask,
    PlanTask,
    ShardTask,
    TidyTask,
)
from millrace_worker.context import Context
from millrace_worker.errors import JobImpossible, LedgerUnavailable, Unavailable
from millrace_worker.logs import get_logger
from millrace_worker.redelivery import come_again, deliver, read_payload
from millrace_worker.tasks.finalize import finalize
from millrace_worker.tasks.notify import is_too_old, notify, pause_seconds
from millrace_worker.tasks.plan import plan
from millrace_worker.tasks.predict_shard import predict_shard
from millrace_worker.tasks.tidy import tidy

log = get_logger(__name__)


def register_tasks(app: Any, context: Context) -> None:
    """Make the tasks of PredictionJobs known to the Celery app."""
    # Not shared: Celery would give these very functions, with this context, to every app of the process.
    options = {"bind": True, "max_retries": None, "ignore_result": True, "shared": False}

    @app.task(name=PLAN, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_plan(self: Any, payload: Any) -> None:
        task = read_payload(PlanTask, payload)
        _deliver(self, task.spec.job, context, lambda: _plan(task, context))

    @app.task(name=PREDICT_SHARD, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_predict_shard(self: Any, payload: Any, *, release_first: bool = False) -> None:
        task = read_payload(ShardTask, payload)

        def work() -> None:
            # The ledger did not answer when this shard was given back, so it still counts as begun. After a redelivery
            # it may truly be begun, by a worker that died: then it must count.
            if release_first and not self.request.delivery_info.get("redelivered"):
                context.ledger.release_shard(task.spec.job.uid, task.shard.index, waiting_for="")
            predict_shard(task, context)

        _deliver(self, task.spec.job, context, work)

    @app.task(name=FINALIZE, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_finalize(self: Any, payload: Any) -> None:
        task = read_payload(FinalizeTask, payload)
        _deliver(self, task.spec.job, context, lambda: finalize(task, context))

    @app.task(name=TIDY, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_tidy(self: Any, payload: Any) -> None:
        task = read_payload(TidyTask, payload)
        _deliver(self, task.job, context, lambda: tidy(task, context))

    @app.task(name=NOTIFY, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_notify(self: Any, payload: Any) -> None:
        task = read_payload(NotifyTask, payload)
        _notify(self, task, context)


def _notify(celery_task: Any, task: NotifyTask, context: Context) -> None:
    about = {"job": task.job.name, "uid": task.job.uid, "notification": task.event}

    def tell_or_wait() -> None:
        try:
            notify(task, context)
        except Unavailable as error:
            if is_too_old(task, now=context.now()):
                log.error("notification given up: it is a day old", why=str(error), **about)  # noqa: TRY400 - it says all
                return
            seconds = pause_seconds(celery_task.request.retries)
            come_again(celery_task, context, error, about=about, countdown_seconds=seconds)

    deliver(celery_task, context, tell_or_wait, about=about)


def _plan(task: PlanTask, context: Context) -> None:
    try:
        plan(task, context)
    except (JobImpossible, Unavailable):
        raise
    except Exception as error:
        log.exception("plan failed unexpectedly; stopping the job", job=task.spec.job.name, uid=task.spec.job.uid)
        message = f"planning failed with {type(error).__name__}: {error}; see the logs of the system pool's workers"
        context.ledger.stop(task.spec.job.uid, reason=JobFailure.INPUT_INVALID, message=message)


def _deliver(celery_task: Any, job: JobRef, context: Context, work: Callable[[], None]) -> None:
    about = {"job": job.name, "uid": job.uid}

    def wait_or_work() -> None:
        try:
            _stop_if_impossible(job, context, work)
        except Unavailable as error:
            kwargs = dict(celery_task.request.kwargs)
            if celery_task.name == PREDICT_SHARD:
                kwargs["release_first"] = isinstance(error, LedgerUnavailable)
            else:
                _say_that_it_waits(job, context, error)
            come_again(celery_task, context, error, about=about, kwargs=kwargs)

    deliver(celery_task, context, wait_or_work, about=about)


def _say_that_it_waits(job: JobRef, context: Context, error: Unavailable) -> None:
    try:
        context.ledger.wait(job.uid, waiting_for=str(error))
    except LedgerUnavailable as unavailable:
        # Then the operator cannot read the ledger either, and says that.
        log.debug("the ledger does not learn what the job waits for", job=job.name, why=str(unavailable))


def _stop_if_impossible(job: JobRef, context: Context, work: Callable[[], None]) -> None:
    try:
        work()
    except JobImpossible as error:
        context.ledger.stop(job.uid, reason=error.reason, message=str(error))
        log.warning("job stopped", job=job.name, uid=job.uid, reason=str(error.reason), message=str(error))
