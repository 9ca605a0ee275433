"""The exchanges and queues of `millrace_contracts.queues` as kombu objects, and how to make sure that they exist.

The binding of a dead-letter queue begins with "#.": a task that waited in Celery's delayed queues (each retry does)
comes back with 28 digits in front of its routing key, and would otherwise find no dead-letter queue.
"""

from typing import Any

from kombu import Exchange, Queue, binding

from millrace_contracts import queues


def work_exchange() -> Exchange:
    """Describe the exchange that every task goes through."""
    return Exchange(queues.EXCHANGE, type="topic", durable=True)


def work_queue(name: str) -> Queue:
    """Describe the queue of a pool."""
    return Queue(name, work_exchange(), routing_key=name, queue_arguments=dict(queues.QUEUE_ARGUMENTS))


def dead_letter_queue(name: str) -> Queue:
    """Describe the queue that keeps what `name` gave up."""
    exchange = Exchange(queues.DEAD_LETTER_EXCHANGE, type="topic", durable=True)
    return Queue(
        queues.dead_letter_queue(name),
        bindings=[binding(exchange, routing_key=f"#.{name}")],
        queue_arguments=dict(queues.QUEUE_ARGUMENTS),
    )


def declare(connection: Any, queue: str) -> None:
    """Make the queue and its dead-letter queue if they are missing; what exists is left as it is."""
    with connection.channel() as channel:
        dead_letter_queue(queue)(channel).declare()
        work_queue(queue)(channel).declare()
