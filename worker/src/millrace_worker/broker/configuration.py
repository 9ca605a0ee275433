"""What Celery is told of the broker, by its kind."""

from typing import Any, Final

from millrace_contracts import queues
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.settings import WorkerSettings

VISIBILITY_MARGIN_SECONDS: Final = 120
"""Over the task time limit: a task may wait for its countdown (30 s at most here) in a worker's memory first."""

RESTORE_EVERY_SECONDS: Final = 5
"""How often each worker on Redis looks for tasks whose worker is lost."""


def broker_configuration(settings: WorkerSettings) -> dict[str, Any]:
    """Answer Celery's settings of the broker."""
    if settings.broker_kind is BrokerKind.RABBITMQ:
        particular = _rabbitmq(settings)
    elif settings.broker_kind is BrokerKind.REDIS:
        particular = _plain(settings) | {"broker_transport_options": _redis_options(settings)}
    else:
        particular = _plain(settings) | _sqs(settings)
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 5,
            "interval_start": 0.2,
            "interval_step": 0.4,
            "interval_max": 2.0,
        },
        "task_default_queue": settings.queue,
        "task_default_routing_key": settings.queue,
        "task_create_missing_queues": False,
        "millrace_broker_kind": settings.broker_kind,
        **particular,
    }


def visibility_timeout_seconds(settings: WorkerSettings) -> int:
    """Answer after how long a task that nobody acked is given to another worker: never while it may still run."""
    return settings.visibility_timeout_seconds or settings.task_time_limit_seconds + VISIBILITY_MARGIN_SECONDS


def _rabbitmq(settings: WorkerSettings) -> dict[str, Any]:
    del settings
    return {
        # Without confirms a message that the broker cannot take is lost in silence.
        "broker_transport_options": {"confirm_publish": True},
        "broker_heartbeat": 30,
        "task_default_exchange": queues.EXCHANGE,
        "task_default_exchange_type": "topic",
        "broker_native_delayed_delivery_queue_type": "quorum",
    }


def _plain(settings: WorkerSettings) -> dict[str, Any]:
    """Answer what goes for brokers whose exchanges are only a list of bindings: messages go to the queue itself."""
    del settings
    return {"task_default_exchange": "", "task_default_exchange_type": "direct"}


def _redis_options(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "visibility_timeout": visibility_timeout_seconds(settings),
        "unacked_restore_interval": RESTORE_EVERY_SECONDS,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 3,
        "socket_timeout": 15,
        "socket_keepalive": True,
        "health_check_interval": 30,
    }


def _sqs(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "broker_transport_options": {
            "region": settings.sqs_region,
            "is_secure": settings.sqs_tls,
            "visibility_timeout": visibility_timeout_seconds(settings),
            # A look costs a request; it lasts until there is something, or this long.
            "wait_time_seconds": 5,
            "polling_interval": 0.1,
        },
        # SQS has no fanout: events would pile up in a queue that nobody reads.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "task_send_sent_event": False,
    }
