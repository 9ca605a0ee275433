"""Names of exchanges and queues, and how they hang together.

Each pool has one quorum queue on one durable topic exchange, because a Celery worker opens one consumer per queue with
a prefetch of its own, and because Celery's delayed delivery (retries with a countdown) needs topic exchanges. What an
operator may want to tune later (delivery limit, consumer timeout, dead-lettering) is a RabbitMQ policy, never a queue
argument: arguments of an existing queue cannot be changed.
"""

from typing import Final

EXCHANGE: Final = "millrace"
"""Durable topic exchange; a task goes to the queue whose name is the routing key."""

DEAD_LETTER_EXCHANGE: Final = "millrace.dead"
"""Durable topic exchange; messages keep their routing key, which ends in the name of the queue that gave them up.

Dead-letter queues are bound by "#.<queue>": a retried task comes back from Celery's delayed queues with 28 digits in
front of its key.
"""

SYSTEM_QUEUE: Final = "system"
"""The queue of the always-on pool that plans and finalizes jobs."""

DELAYED_QUEUE_PREFIX: Final = "celery_delayed_"
"""Celery's own queues for countdowns, shared by all pools: never counted as backlog of a pool."""

QUEUE_ARGUMENTS: Final[dict[str, str]] = {"x-queue-type": "quorum"}


def dead_letter_queue(queue: str) -> str:
    """Name the queue that keeps what `queue` gave up."""
    return f"{queue}.dead"
