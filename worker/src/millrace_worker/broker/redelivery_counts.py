"""How often a message was delivered, on brokers that do not count as RabbitMQ's quorum queues do.

SQS counts receives itself. Redis only marks a message that comes again, so the workers count those, in the ledger's
Redis; what cannot be counted now counts as first delivery, because nothing may be given up on a guess.
"""

from typing import Any, Final

import redis
from redis.exceptions import RedisError

from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.logs import get_logger

DELIVERY_LIMIT: Final = 20
"""As the policy of the RabbitMQ queues has it."""

DELIVERY_COUNT_HEADER: Final = "x-delivery-count"
"""As RabbitMQ's quorum queues write it."""

RETENTION_SECONDS: Final = 7 * 86_400

log = get_logger(__name__)


def counter_key(task_id: str) -> str:
    """Redis string: how often a task came again."""
    return f"millrace:redeliveries:{task_id}"


class RedeliveryCounts:
    """Counts for one worker; only what comes again costs a round trip."""

    def __init__(self, kind: BrokerKind, *, redis_url: str) -> None:
        self._kind = kind
        self._redis: redis.Redis | None = None
        self._redis_url = redis_url

    def of(self, message: Any) -> int:
        """Answer how often this message came before."""
        if self._kind is BrokerKind.SQS:
            attributes = (message.delivery_info.get("sqs_message") or {}).get("Attributes") or {}
            return int(attributes.get("ApproximateReceiveCount", "1")) - 1
        task_id = (message.headers or {}).get("id")
        if not message.delivery_info.get("redelivered") or not task_id:
            return 0
        return self._count(str(task_id))

    def _count(self, task_id: str) -> int:
        if self._redis is None:
            self._redis = redis.Redis.from_url(self._redis_url, socket_connect_timeout=1, socket_timeout=1)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.incr(counter_key(task_id))
            pipeline.expire(counter_key(task_id), RETENTION_SECONDS)
            return int(pipeline.execute()[0])
        except RedisError as error:
            log.warning("this delivery is not counted", task_id=task_id, error=f"{type(error).__name__}: {error}")
            return 1
