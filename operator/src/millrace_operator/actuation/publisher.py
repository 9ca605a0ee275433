"""Publish a job's plan, as the Celery task that the system pool runs.

A Celery producer builds the message, so it is by construction what Celery workers understand. It blocks, so it runs in
one thread of its own.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from millrace_contracts.tasks import PLAN, PlanTask
from millrace_operator.actuation.plan_broker import PlanBroker, producer, system_queue
from millrace_operator.errors import PublishError


class PlanPublisher:
    """Publishes plans to the system queue, each confirmed by the broker."""

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
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._publish, task)
        except (*self._transport_errors, OSError) as error:
            job, why = task.spec.job, f"{type(error).__name__}: {error}"
            raise PublishError(
                f"{self._broker.name} did not confirm the plan of job {job.namespace}/{job.name} ({why})"
            ) from error

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._app.close)
        self._thread.shutdown(wait=False)

    def _publish(self, task: PlanTask) -> None:
        self._app.send_task(
            PLAN,
            kwargs={"payload": task.model_dump(mode="json")},
            task_id=f"{task.spec.job.uid}:plan",
            # The queue itself and not its name: publishing then declares it, should it not exist yet.
            queue=self._queue,
            confirm_timeout=self._broker.timeout_seconds,
            retry=False,
        )
