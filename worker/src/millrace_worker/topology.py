"""The exchanges and queues of `millrace_contracts.queues` as kombu objects, and how to make sure that they exist.

The binding of a dead-letter queue begins with "#.": a task that waited in Celery's delayed queues (each retry does)
comes back with 28 digits in front of its routing key, and would otherwise find no dead-letter queue.

Brokers other than RabbitMQ have queues alone: a message goes to the queue itself, and what a topic exchange would add
there is only a list of bindings that can be lost.
"""

from typing import Any

from kombu import Exchange, Queue, binding

from millrace_contracts import queues
from millrace_worker.broker import sqs_queues
from millrace_worker.broker.kinds import BrokerKind


def work_exchange() -> Exchange:
    """Describe the exchange that every task goes through on RabbitMQ."""
    return Exchange(queues.EXCHANGE, type="topic", durable=True)


def work_queue(name: str, *, kind: BrokerKind = BrokerKind.RABBITMQ) -> Queue:
    """Describe the queue of a pool."""
    if kind is not BrokerKind.RABBITMQ:
        return _plain_queue(name)
    return Queue(name, work_exchange(), routing_key=name, queue_arguments=dict(queues.QUEUE_ARGUMENTS))


def dead_letter_queue(name: str, *, kind: BrokerKind = BrokerKind.RABBITMQ) -> Queue:
    """Describe the queue that keeps what `name` gave up."""
    if kind is not BrokerKind.RABBITMQ:
        return _plain_queue(queues.dead_letter_queue(name))
    exchange = Exchange(queues.DEAD_LETTER_EXCHANGE, type="topic", durable=True)
    return Queue(
        queues.dead_letter_queue(name),
        bindings=[binding(exchange, routing_key=f"#.{name}")],
        queue_arguments=dict(queues.QUEUE_ARGUMENTS),
    )


def declare(
    connection: Any,
    queue: str,
    *,
    kind: BrokerKind = BrokerKind.RABBITMQ,
    visibility_timeout_seconds: int = 0,
) -> None:
    """Make the queue and its dead-letter queue if they are missing; what exists is left as it is."""
    if kind is BrokerKind.REDIS:
        # A list is there as soon as something is in it.
        return
    with connection.channel() as channel:
        if kind is BrokerKind.SQS:
            sqs_queues.declare(
                channel,
                queue=queue,
                dead_letter_queue=queues.dead_letter_queue(queue),
                visibility_timeout_seconds=visibility_timeout_seconds,
            )
            return
        dead_letter_queue(queue)(channel).declare()
        work_queue(queue)(channel).declare()


def _plain_queue(name: str) -> Queue:
    return Queue(name, Exchange("", type="direct"), routing_key=name)
