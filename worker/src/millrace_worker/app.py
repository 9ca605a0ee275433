"""The Celery app that workers, Flower and Beat run: `celery -A millrace_worker.app ...`."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from millrace_worker import lifecycle, schedule
from millrace_worker.context import Context
from millrace_worker.delivery import register_tasks
from millrace_worker.logs import configure_logging
from millrace_worker.prediction_delivery import register_predictions
from millrace_worker.settings import WorkerSettings, read_settings
from millrace_worker.task_modules import register_task_modules
from millrace_worker.topology import work_exchange, work_queue


def create_app(settings: WorkerSettings) -> Celery:
    """Make the app for these settings; nothing is connected yet."""
    app = Celery("millrace")
    entries = schedule.read_entries(settings)
    queues = {settings.queue, *(entry["queue"] for entry in entries)}
    app.conf.update(
        **_broker(settings),
        **_delivery(settings),
        **_results(settings),
        task_queues=[work_queue(name) for name in sorted(queues)],
        beat_schedule=schedule.beat_schedule(entries),
        beat_max_loop_interval=schedule.TICK_SECONDS,
        redbeat_redis_url=settings.redis_url.get_secret_value(),
        redbeat_key_prefix="millrace:redbeat:",
        redbeat_lock_timeout=schedule.LOCK_SECONDS,
        millrace_tick_file=str(settings.state_dir / "tick"),
    )
    context = Context(settings=settings, app=app)
    register_tasks(app, context)
    register_predictions(app, context)
    register_task_modules(app, context)
    lifecycle.install(app, settings.state_dir)
    return app


def _broker(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        # Without confirms a message that the broker cannot take is lost in silence.
        "broker_transport_options": {"confirm_publish": True},
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_heartbeat": 30,
        "task_publish_retry_policy": {
            "max_retries": 5,
            "interval_start": 0.2,
            "interval_step": 0.4,
            "interval_max": 2.0,
        },
        "task_default_queue": settings.queue,
        "task_default_exchange": work_exchange().name,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": settings.queue,
        "task_create_missing_queues": False,
        "broker_native_delayed_delivery_queue_type": "quorum",
    }


def _delivery(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "worker_consumer": "millrace_worker.consumer:DeadLetteringConsumer",
        "task_serializer": "json",
        "accept_content": ["json"],
        # A message is acked when its work is done. A worker that dies, or is killed at the time limit, gives it back.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_timeout": False,
        # What cannot even be called with its arguments goes to the dead-letter queue.
        "task_acks_on_failure": False,
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": settings.concurrency,
        "task_time_limit": settings.task_time_limit_seconds,
        "task_soft_time_limit": settings.task_soft_time_limit_seconds,
        # The ledger counts a shard once, so what is at work may finish while RabbitMQ is away: its second delivery then
        # finds that nothing is left to do. To cancel it would throw the work away.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 10.0,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "task_track_started": True,
    }


def _results(settings: WorkerSettings) -> dict[str, Any]:
    return {
        # Nothing of a job depends on it: the ledger does the counting. It is there for tasks of users.
        "result_backend": settings.redis_url.get_secret_value(),
        "result_serializer": "json",
        "result_accept_content": ["json"],
        "result_expires": 86_400,
        "result_backend_always_retry": True,
        "result_backend_max_retries": 10,
        "task_ignore_result": True,
        "redis_socket_keepalive": True,
        "redis_retry_on_timeout": True,
        "redis_socket_timeout": 15.0,
        "redis_backend_health_check_interval": 30,
    }


def _configure_logging(settings: WorkerSettings) -> None:
    configure_logging(level=settings.log_level, log_format=settings.log_format)


def __getattr__(name: str) -> Celery:
    """Make the app when Celery asks for it: importing this module must work without an environment."""
    if name != "app":
        raise AttributeError(name)
    settings = read_settings()
    # Celery configures no logging of its own where this signal has a receiver.
    setup_logging.connect(lambda **_: _configure_logging(settings), weak=False)
    globals()["app"] = create_app(settings)
    return globals()["app"]
