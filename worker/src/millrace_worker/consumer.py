"""Celery's consumer, with a home for every message that cannot be a task.

Celery acks away a message that it cannot decode, and some odd ones end the worker. Here each goes to the dead-letter
queue, where somebody can look at it, and the worker lives on. Bodies are never logged: they are records.

RabbitMQ moves a rejected message to its dead-letter queue and counts deliveries by itself; on other brokers this
consumer does both.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

from millrace_contracts import nesting
from millrace_worker import topology
from millrace_worker.broker import dead_letters
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.broker.redelivery_counts import DELIVERY_COUNT_HEADER, DELIVERY_LIMIT, RedeliveryCounts
from millrace_worker.logs import get_logger

log = get_logger(__name__)


class DeadLetteringConsumer(Consumer):  # type: ignore[misc] # celery has no types
    """Named by the setting `worker_consumer`."""

    def connect(self) -> Any:
        """Connect, and make sure that the dead-letter queue is there before the first message can be rejected."""
        connection = super().connect()
        options = self.app.conf.broker_transport_options
        for queue in self.app.amqp.queues.consume_from:
            topology.declare(
                connection,
                queue,
                kind=self._kind,
                visibility_timeout_seconds=options.get("visibility_timeout", 0),
            )
        return connection

    def create_task_handler(self, **kwargs: Any) -> Callable[[Any], None]:
        """Answer Celery's handler of one message, bounded by ours: no message may end the worker."""
        handle = super().create_task_handler(**kwargs)
        not_the_messages_fault = (*self.connection_errors, *self.channel_errors)
        prepare = self._prepared()

        def on_message(message: Any) -> None:
            try:
                if nesting.is_too_deep(_bytes(message.body)):
                    # Celery reads it here and again in the task's process, and either may break at another depth.
                    self._dead_letter(message, f"its body is nested deeper than {nesting.MAX_NESTING} levels", None)
                elif prepare(message):
                    handle(message)
            except not_the_messages_fault:
                raise
            except Exception as error:  # noqa: BLE001 - what an odd message raises cannot be foreseen
                self._dead_letter(message, "its headers or body are not those of a Celery task", error)

        return on_message

    @property
    def _kind(self) -> BrokerKind:
        return BrokerKind(self.app.conf.millrace_broker_kind)

    def _prepared(self) -> Callable[[Any], bool]:
        """Answer what a message needs before Celery sees it; False: it is dead-lettered."""
        if self._kind is BrokerKind.RABBITMQ:
            return lambda _: True
        counts = RedeliveryCounts(self._kind, redis_url=self.app.conf.redbeat_redis_url)

        def prepare(message: Any) -> bool:
            dead_letters.keep_rejected(message, self.app)
            count = counts.of(message)
            if count:
                message.headers[DELIVERY_COUNT_HEADER] = count
                message.delivery_info["redelivered"] = True
            if count >= DELIVERY_LIMIT:
                self._dead_letter(message, f"it was delivered {DELIVERY_LIMIT} times without an end", None)
                return False
            return True

        return prepare

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Dead-letter a message whose body is not what its content type says."""
        self._dead_letter(message, "its body cannot be decoded", exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Dead-letter a message that is no Celery task."""
        del body
        self._dead_letter(message, "it is no Celery task", None)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Dead-letter a task that this worker does not have."""
        del body
        self._dead_letter(message, f"there is no task {(message.headers or {}).get('task')!r} here", exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Dead-letter a task in a form or content type that is not allowed."""
        del body
        self._dead_letter(message, "it is a task in a form that is not allowed", exc)

    def _dead_letter(self, message: Any, why: str, error: Exception | None) -> None:
        log.error(
            "message goes to the dead-letter queue",
            why=why,
            error=type(error).__name__ if error else None,
            content_type=str(message.content_type),
            body_bytes=len(message.body or b""),
            task_id=str((message.headers or {}).get("id", "")),
        )
        if not message.acknowledged:
            message.reject_log_error(logging.getLogger(__name__), self.connection_errors)


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body or b"")
