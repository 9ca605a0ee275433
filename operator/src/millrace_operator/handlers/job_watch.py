"""Watch PredictionJobs one by one as they come, instead of through kopf.

kopf lists all objects of a resource in one piece before it watches them, and keeps a task and a memory for each: with
ten thousand jobs that is hundreds of megabytes. A watch without a version begins with every object there is, one after
the other, so what is held at any moment is one body, and then what is kept of it.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog

from millrace_contracts.resources import PREDICTION_JOBS
from millrace_operator.errors import KubernetesError, WatchExpired
from millrace_operator.handlers.context import OperatorContext
from millrace_operator.handlers.object_store import Body
from millrace_operator.handlers.slim import slim_prediction_job

RETRY_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.1
"""Between two watches, should something in between end each of them at once."""
SERVER_SECONDS: Final = 300
"""After which the API server ends a watch by itself, so that one that hangs is noticed."""

log = structlog.get_logger("millrace.watch")


async def run_job_watch(context: OperatorContext) -> None:
    """Keep the jobs of all watched namespaces fresh until cancelled."""
    await asyncio.gather(*(_follow(context, namespace) for namespace in context.settings.namespaces or (None,)))


async def _follow(context: OperatorContext, namespace: str | None) -> None:
    version = ""
    while True:
        try:
            version = await _in_thread(partial(_stream, context, namespace, version, asyncio.get_running_loop()))
            await asyncio.sleep(PAUSE_SECONDS)
        except WatchExpired:
            # What was deleted meanwhile is found by the comparison with a full list, as after any interruption.
            version = ""
        except KubernetesError as error:
            log.warning("jobs are not watched; trying again", error=str(error), retry_seconds=RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)


def _stream(context: OperatorContext, namespace: str | None, version: str, loop: asyncio.AbstractEventLoop) -> str:
    """Take changes in until the server ends the watch; answer how far it came. Blocks."""
    events = context.kubernetes.stream_objects(
        PREDICTION_JOBS, namespace=namespace, version=version, server_seconds=SERVER_SECONDS
    )
    for kind, body in events:
        version = body["metadata"]["resourceVersion"]
        if kind != "BOOKMARK":
            loop.call_soon_threadsafe(_take_in, context, kind, slim_prediction_job(body))
    return version


def _take_in(context: OperatorContext, kind: str, body: Body) -> None:
    jobs = context.objects.prediction_jobs
    if kind == "DELETED":
        jobs.remove(body["metadata"]["uid"])
    else:
        jobs.put(body)


async def _in_thread(work: Callable[[], str]) -> str:
    """Run what blocks for minutes in a thread that nobody waits for when the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def settle(set_outcome: Callable[[Any], None], outcome: object) -> None:
        if not done.done():
            set_outcome(outcome)

    def run() -> None:
        # RuntimeError: the loop has ended, and with it whoever waits for this.
        with suppress(RuntimeError):
            try:
                loop.call_soon_threadsafe(settle, done.set_result, work())
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                loop.call_soon_threadsafe(settle, done.set_exception, error)

    threading.Thread(target=run, name="job-watch", daemon=True).start()
    return await done
