"""Publish a job's plan, as the Celery task that the system pool runs.

A Celery producer builds the message, so it is by construction what Celery workers understand. It blocks, so it runs in
one thread of its own.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import KombuError

from millrace_contracts.queues import EXCHANGE, QUEUE_ARGUMENTS
from millrace_contracts.tasks import PLAN, PlanTask
from millrace_operator.errors import PublishError


class PlanPublisher:
    """Publishes plans to the system queue, each confirmed by the broker."""

    def __init__(self, *, broker_url: str, system_queue: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._queue = Queue(
            system_queue,
            exchange=Exchange(EXCHANGE, type="topic", durable=True),
            routing_key=system_queue,
            queue_arguments=dict(QUEUE_ARGUMENTS),
            durable=True,
        )
        self._app = _producer(broker_url, self._queue, timeout_seconds)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")

    async def publish_plan(self, task: PlanTask) -> None:
        """Publish a plan and return once the broker has it; raise PublishError when it did not say so."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._publish, task)
        except (AMQPError, KombuError, OSError) as error:
            job = task.spec.job
            raise PublishError(
                f"RabbitMQ did not confirm the plan of job {job.namespace}/{job.name} ({type(error).__name__}: {error})"
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
            confirm_timeout=self._timeout_seconds,
            retry=False,
        )


def _producer(broker_url: str, queue: Queue, timeout_seconds: float) -> Any:
    app = Celery("millrace-operator", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[queue],
        task_default_queue=queue.name,
        task_default_exchange=EXCHANGE,
        task_default_exchange_type="topic",
        task_default_queue_type="quorum",
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_timeout=timeout_seconds,
        broker_connection_retry=False,
        broker_connection_max_retries=0,
        broker_heartbeat=0,
        broker_pool_limit=1,
        broker_transport_options={
            "confirm_publish": True,
            "read_timeout": timeout_seconds,
            "write_timeout": timeout_seconds,
        },
    )
    return app
