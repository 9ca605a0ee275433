"""A dead-letter queue for brokers that only forget what is rejected: a copy is published, then the message is acked.

In this order, so that a message may be there twice but never nowhere.
"""

from typing import Any

from millrace_contracts.queues import dead_letter_queue
from millrace_worker import topology
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.publishing import CONFIRM_TIMEOUT_SECONDS

QUEUE_HEADER = "millrace-queue"
"""Where the message was given up."""


def keep_rejected(message: Any, app: Any) -> None:
    """Make the message's reject write it to the dead-letter queue, unless it is to be delivered again."""
    reject = message.reject

    def keep_and_ack(requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        if requeue:
            reject(requeue=True)
            return
        _publish_copy(message, app)
        message.ack()

    # kombu's reject_log_error, which Celery calls, goes through this too.
    message.reject = keep_and_ack


def _publish_copy(message: Any, app: Any) -> None:
    queue = str(message.delivery_info["routing_key"])
    name = dead_letter_queue(queue)
    kind = BrokerKind(app.conf.millrace_broker_kind)
    properties = {
        key: value
        for key, value in message.properties.items()
        if key in {"correlation_id", "reply_to", "priority", "delivery_mode"}
    }
    with app.producer_pool.acquire(block=True, timeout=CONFIRM_TIMEOUT_SECONDS) as producer:
        producer.publish(
            message.body,
            exchange="",
            routing_key=name,
            declare=[topology.work_queue(name, kind=kind)],
            headers={**message.headers, QUEUE_HEADER: queue},
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            retry=True,
            retry_policy=app.conf.task_publish_retry_policy,
            **properties,
        )
