"""The system queue as each kind of broker knows it, and a Celery app that can do nothing but publish to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery import Celery
from kombu import Exchange, Queue

from millrace_contracts.queues import EXCHANGE, QUEUE_ARGUMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBroker:
    """Where plans go."""

    url: str
    kind: str = "rabbitmq"
    timeout_seconds: float
    sqs_region: str = ""
    sqs_tls: bool = True

    @property
    def name(self) -> str:
        """How people call it."""
        return _NAMES[self.kind]


_NAMES: Final[Mapping[str, str]] = {"rabbitmq": "RabbitMQ", "redis": "Redis", "sqs": "SQS"}


def system_queue(broker: PlanBroker, name: str) -> Queue:
    """Describe the queue; only RabbitMQ has exchanges that are more than a list of bindings, and quorum queues."""
    if broker.kind != "rabbitmq":
        return Queue(name, exchange=Exchange("", type="direct"), routing_key=name)
    return Queue(
        name,
        exchange=Exchange(EXCHANGE, type="topic", durable=True),
        routing_key=name,
        queue_arguments=dict(QUEUE_ARGUMENTS),
        durable=True,
    )


def producer(broker: PlanBroker, queue: Queue) -> Any:
    """Make a Celery app that gives up soon: the loop that publishes tries again by itself."""
    app = Celery("millrace-operator", broker=broker.url, set_as_current=False)
    app.conf.update(
        task_queues=[queue],
        task_default_queue=queue.name,
        task_default_exchange=queue.exchange.name,
        task_default_exchange_type=queue.exchange.type,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_timeout=broker.timeout_seconds,
        broker_connection_retry=False,
        broker_connection_max_retries=0,
        broker_heartbeat=0,
        broker_pool_limit=1,
        broker_transport_options=_transport_options(broker),
    )
    if broker.kind == "rabbitmq":
        app.conf.task_default_queue_type = "quorum"
    return app


def _transport_options(broker: PlanBroker) -> dict[str, Any]:
    seconds = broker.timeout_seconds
    if broker.kind == "redis":
        return {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    if broker.kind == "sqs":
        return {"region": broker.sqs_region, "is_secure": broker.sqs_tls}
    return {"confirm_publish": True, "read_timeout": seconds, "write_timeout": seconds}
