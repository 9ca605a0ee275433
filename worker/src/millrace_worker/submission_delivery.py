"""The Celery task that makes a schedule's PredictionJobs: what becomes of its message, by what the API server says."""

from functools import cache
from typing import Any

from celery.exceptions import Reject

from millrace_contracts.schedules import SubmitJobTask
from millrace_contracts.tasks import SUBMIT_JOB
from millrace_worker import clock
from millrace_worker.context import Context
from millrace_worker.errors import JobRefused
from millrace_worker.logs import get_logger
from millrace_worker.redelivery import deliver, read_payload
from millrace_worker.tasks.submit_job import JobCreator, kubernetes_creator, own_namespace, submit_job

log = get_logger(__name__)


def register_submissions(app: Any, context: Context) -> None:
    """Make the task known to the Celery app."""
    options = {"bind": True, "max_retries": None, "ignore_result": True, "shared": False}

    # On first use: worker processes are forked, and few of them ever submit a job.
    @cache
    def creator() -> JobCreator:
        return kubernetes_creator()

    @app.task(name=SUBMIT_JOB, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_submit_job(self: Any, payload: Any) -> None:
        task = read_payload(SubmitJobTask, payload)

        def work() -> None:
            try:
                submit_job(task, creator(), own_namespace=own_namespace, at=clock.rfc3339(task.tick))
            except JobRefused as error:
                log.error(  # noqa: TRY400 - the message says it all
                    "scheduled job refused; its message goes to the dead-letter queue",
                    schedule=task.schedule,
                    job=task.job_name,
                    why=str(error),
                )
                raise Reject(str(error), requeue=False) from error

        deliver(self, context, work, about={"schedule": task.schedule, "job": task.job_name})
