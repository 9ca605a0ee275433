"""Between Celery and a step: once, by one worker at a time, and with an end that is written down.

| what happened                       | what becomes of the run                                                     |
| ----------------------------------- | --------------------------------------------------------------------------- |
| the step was done before            | its kept answer goes on to the next step                                    |
| another worker has the step         | the message comes again when that worker's lease is over                    |
| something is unavailable            | the message comes again, for ever                                           |
| the function raises or takes long   | Failed, with what it said; the message is acked and the chain ends          |
| the worker dies, or must stop       | RabbitMQ delivers the message again; after a few starts the run is Failed   |
| the run has ended meanwhile         | nothing: the message is acked and the chain ends                            |

A step that failed ends its task as ignored: Celery would dead-letter a task that raises, and a failed training is no
message that somebody should look at. A task that Celery itself cannot finish does go to the dead-letter queue, and may
be sent again from there: the step finds its kept answer.
"""

import json
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError

from millrace_contracts.models import ModelVersion, VersionState
from millrace_contracts.pipelines import RunState, StepTask
from millrace_worker.context import Context
from millrace_worker.errors import Unavailable, WorkerError
from millrace_worker.logs import get_logger
from millrace_worker.pipeline.errors import StepFailed, StepHeld, is_stop
from millrace_worker.pipeline.runs import MAX_STARTS, Begin, Runs, StepStart
from millrace_worker.pipeline.steps import Answer, Workshop
from millrace_worker.redelivery import come_again
from millrace_worker.registry import Registry

MESSAGE_LIMIT: Final = 1000

log = get_logger(__name__)


def carry_out(
    celery_task: Any, context: Context, task: StepTask, *, step: str, work: Callable[[Workshop, str], Answer]
) -> Answer:
    """Do a step and answer what the next one needs; ends the chain where there is no next one."""
    about = {"pipeline": task.spec.name, "run": task.run_id, "step": step}
    try:
        return _once(task, context, step, work)
    except StepHeld as error:
        come_again(celery_task, context, error, about=about, deadline=context.now() + error.seconds)
    except Unavailable as error:
        come_again(celery_task, context, error, about=about)
    except _Ended as end:
        if end.reason:
            _tell_monitors(celery_task, end.reason)
        raise Ignore(end.reason) from end
    raise AssertionError("a message that comes again ends its task")


class _Ended(Exception):  # noqa: N818 - it says what happened
    """The run is over; `reason` is empty where that was known before."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def _once(task: StepTask, context: Context, step: str, work: Callable[[Workshop, str], Answer]) -> Answer:
    runs = Runs(context.redis, now=context.now, lease_seconds=context.settings.pipeline_lease_seconds)
    start = runs.begin_step(task, step)
    if start.outcome is Begin.OVER:
        log.info("step not needed, its run is over", pipeline=task.spec.name, run=task.run_id, step=step)
        raise _Ended
    if start.outcome is Begin.HELD:
        raise StepHeld("another worker has this step, or died with it", seconds=start.held_seconds)
    if start.outcome is Begin.DISPLACED:
        message = f"{step} waited in its queue for so long that another run of the pipeline began"
        fail(task, context, step, message)
        raise _Ended(message)
    began = time.monotonic()
    with runs.kept(task, step, start.token):
        try:
            return _marked(Workshop.open(task, context), step, start, work)
        except (Unavailable, Ignore, Retry, Reject):
            raise
        # KeyboardInterrupt too: nobody interrupts a slot of a pod by hand, but a function may raise it, and Celery then
        # forgets the task.
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            is_late = time.monotonic() - began >= task.spec.step_timeout_seconds
            if is_stop(error) and not is_late:
                log.warning("step stops with its worker", pipeline=task.spec.name, run=task.run_id, step=step)
                raise SystemExit(1) from error
            if not isinstance(error, WorkerError):
                log.exception("a step failed", pipeline=task.spec.name, run=task.run_id, step=step)
            message = _meaning(error, task, step, is_late=is_late)
            fail(task, context, step, message)
            raise _Ended(message) from error


def _marked(shop: Workshop, step: str, start: StepStart, work: Callable[[Workshop, str], Answer]) -> Answer:
    mark = f"{shop.folder(step)}/done.json"
    about = {"pipeline": shop.spec.name, "run": shop.task.run_id, "step": step}
    if (text := shop.artifacts.read_text(mark)) is not None:
        log.info("step was done before", **about)
        return dict(json.loads(text))
    if start.starts > MAX_STARTS:
        raise StepFailed(
            f"{step} began {MAX_STARTS} times and its worker was lost or stopped each time; does it need more memory "
            "than the pods of the pool have, or more time than they have to stop?"
        )
    log.info("step begins", **about)
    # A folder of its own for each attempt: two that overlap never mix what they write.
    answer = work(shop, f"{shop.folder(step)}/{start.token}")
    shop.artifacts.write_text(mark, json.dumps(answer))
    log.info("step done", **about)
    return answer


def fail(task: StepTask, context: Context, step: str, message: str) -> None:
    """Write down that the run failed and why; the version that serves goes on serving."""
    log.error("pipeline failed", pipeline=task.spec.name, run=task.run_id, step=step, message=message)
    end_as_failed(context, pipeline=task.spec.name, model=task.spec.model, run_id=task.run_id, message=message)


def end_as_failed(context: Context, *, pipeline: str, model: str, run_id: str, message: str) -> None:
    """Record a failed run in the registry, then let the next one begin."""
    now, runs = context.now(), Runs(context.redis, now=context.now, lease_seconds=0)
    if not runs.is_running(pipeline, run_id):
        return
    Registry(context.redis, now=context.now).record(
        ModelVersion(
            model=model,
            version=f"run-{run_id}",
            state=VersionState.FAILED,
            pipeline=pipeline,
            run_id=run_id,
            message=message,
            created_at=now,
            changed_at=now,
        )
    )
    runs.finish(pipeline, run_id, RunState.FAILED, message=message)


def _meaning(error: BaseException, task: StepTask, step: str, *, is_late: bool) -> str:
    # What is raised at a time limit, the function may have turned into an error of its own.
    if is_late or isinstance(error, SoftTimeLimitExceeded):
        return f"{step} did not end within stepTimeoutSeconds ({task.spec.step_timeout_seconds} s)"
    if isinstance(error, WorkerError):
        return f"{step} failed: {error}"[:MESSAGE_LIMIT]
    last_line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return f"{step} failed: {last_line}"[:MESSAGE_LIMIT]


def _tell_monitors(celery_task: Any, message: str) -> None:
    """Show the task as failed in Flower, which hears nothing of an ignored one."""
    try:
        celery_task.send_event("task-failed", exception=message, traceback="")
    except (OperationalError, OSError) as error:
        log.debug("monitors not told", error=str(error))
