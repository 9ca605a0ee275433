"""Publish a job's plan and what is to be told of it, as the Celery tasks that the system pool runs.

A Celery producer builds the message, so it is by construction what Celery workers understand. It blocks, so it runs in
one thread of its own.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from millrace_contracts.payload import Payload
from millrace_contracts.tasks import NOTIFY, PLAN, TIDY, NotifyTask, PlanTask, TidyTask
from millrace_operator.actuation.plan_broker import PlanBroker, producer, system_queue
from millrace_operator.errors import PublishError


class PlanPublisher:
    """Publishes plans and notifications to the system queue, each confirmed by the broker."""

    def __init__(self, broker: PlanBroker, *, queue: str) -> None:
        self._broker = broker
        self._queue = system_queue(broker, queue)
        self._app = producer(broker, self._queue)
        transport: Any = self._app.connection_for_write().transport
        # What a broker's library raises beside kombu's own errors, redis and boto3 among them.
        self._transport_errors = (*transport.connection_errors, *transport.channel_errors, AMQPError, KombuError)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")

    async def publish_plan(self, task: PlanTask) -> None:
        """Publish a plan and return once the broker has it; raise PublishError when it did not say so."""
        job = task.spec.job
        what = f"the plan of job {job.namespace}/{job.name}"
        await self._confirmed(PLAN, task, task_id=f"{job.uid}:plan", what=what)

    async def publish_tidying(self, task: TidyTask) -> None:
        """Publish that a job's checkpoints are to be removed; to do so twice is harmless."""
        job = task.job
        what = f"the tidying of job {job.namespace}/{job.name}"
        await self._confirmed(TIDY, task, task_id=f"{job.uid}:tidy", what=what)

    async def publish_notification(self, task: NotifyTask, *, notice: str) -> None:
        """Publish word of a job; it carries the same id each time, so that a receiver can tell that it had it."""
        job = task.job
        what = f"the notification {task.event} of job {job.namespace}/{job.name}"
        await self._confirmed(NOTIFY, task, task_id=f"{job.uid}:notify:{notice}", what=what)

    async def _confirmed(self, name: str, task: Payload, *, task_id: str, what: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._publish, name, task, task_id)
        except (*self._transport_errors, OSError) as error:
            why = f"{type(error).__name__}: {error}"
            raise PublishError(f"{self._broker.name} did not confirm {what} ({why})") from error

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._app.close)
        self._thread.shutdown(wait=False)

    def _publish(self, name: str, task: Payload, task_id: str) -> None:
        self._app.send_task(
            name,
            kwargs={"payload": task.model_dump(mode="json")},
            task_id=task_id,
            # The queue itself and not its name: publishing then declares it, should it not exist yet.
            queue=self._queue,
            confirm_timeout=self._broker.timeout_seconds,
            retry=False,
        )
