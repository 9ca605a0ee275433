"""Publish tasks so that they are either confirmed by the broker or reported as not published."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from amqp.exceptions import AMQPError, MessageNacked
from kombu import Exchange
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from millrace_contracts.payload import Payload
from millrace_contracts.predictions import PREDICT, Prediction, PredictTask
from millrace_contracts.tasks import FINALIZE, PREDICT_SHARD, FinalizeTask, ShardTask, message_priority
from millrace_worker import topology
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.errors import BrokerUnavailable

CONFIRM_TIMEOUT_SECONDS: Final = 30


class Publisher:
    """Sends the tasks that tasks send."""

    def __init__(self, app: Any, *, system_queue: str) -> None:
        self._app = app
        self._system_queue = system_queue
        self._kind = BrokerKind(app.conf.millrace_broker_kind)

    def ensure_queue(self, queue: str) -> None:
        """Make the queue exist: the pool that consumes it may not have started a worker yet."""
        with translated(f"declare queue {queue}"), self._app.connection_for_write() as connection:
            visibility_timeout = self._app.conf.broker_transport_options.get("visibility_timeout", 0)
            topology.declare(connection, queue, kind=self._kind, visibility_timeout_seconds=visibility_timeout)

    def publish_shard(self, task: ShardTask) -> None:
        """Publish one shard to the pool's queue, with the priority of its job."""
        task_id = f"{task.spec.job.uid}:shard:{task.shard.index}"
        priority = message_priority(task.spec.priority)
        self._publish(PREDICT_SHARD, task, task_id=task_id, queue=task.spec.queue, priority=priority)

    def publish_finalize(self, task: FinalizeTask) -> None:
        """Publish the last task of a job to the system queue; to do so twice is harmless."""
        self._publish(FINALIZE, task, task_id=f"{task.spec.job.uid}:finalize", queue=self._system_queue)

    def publish_predict(self, task: PredictTask, *, task_id: str, queue: str) -> None:
        """Publish predictions to a pool's queue."""
        self._publish(PREDICT, task, task_id=task_id, queue=queue)

    def reply(self, queue: str, predictions: Sequence[Prediction]) -> None:
        """Send each answer to a queue, with its id as correlation id; a queue that is gone wants none any more."""
        with translated(f"take replies for queue {queue}"), self._app.producer_or_acquire() as producer:
            for prediction in predictions:
                producer.publish(
                    prediction.model_dump_json(),
                    exchange=Exchange(""),
                    routing_key=queue,
                    content_type="application/json",
                    content_encoding="utf-8",
                    correlation_id=prediction.id,
                    retry=True,
                    retry_policy=self._app.conf.task_publish_retry_policy,
                    confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
                )

    def _publish(self, name: str, payload: Payload, *, task_id: str, queue: str, priority: int | None = None) -> None:
        options: dict[str, Any] = {}
        # Redis keeps a list for each priority, lower first, which nobody who measures the queue sees; SQS has none.
        if priority is not None and self._kind is BrokerKind.RABBITMQ:
            options["priority"] = priority
        with translated(f"publish {name} to queue {queue}"):
            self._app.send_task(
                name,
                kwargs={"payload": payload.model_dump(mode="json")},
                task_id=task_id,
                queue=topology.work_queue(queue, kind=self._kind),
                # Without this the client subscribes to a result in Redis for each message.
                ignore_result=True,
                confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
                **options,
            )


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn whatever the client of a broker raises into BrokerUnavailable."""
    try:
        yield
    except MessageNacked as error:
        raise BrokerUnavailable(f"the broker refused to {action}; it may be out of memory or disk") from error
    except (KombuError, AMQPError, RedisError, OSError, *_sqs_errors()) as error:
        raise BrokerUnavailable(f"the broker did not answer to {action}: {type(error).__name__}: {error}") from error


def _sqs_errors() -> tuple[type[Exception], ...]:
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only images for SQS have it
    except ImportError:
        return ()
    return BotoCoreError, ClientError
