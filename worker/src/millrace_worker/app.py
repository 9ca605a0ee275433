"""The Celery app that workers, Flower and Beat run: `celery -A millrace_worker.app ...`."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_shutdown

from millrace_contracts.schedules import ScheduleKeys
from millrace_worker import lifecycle
from millrace_worker.broker.configuration import broker_configuration
from millrace_worker.broker.kinds import capabilities
from millrace_worker.broker.silence import SilentEvents
from millrace_worker.context import Context
from millrace_worker.delivery import register_tasks
from millrace_worker.logs import configure_logging
from millrace_worker.pipeline.tasks import register_pipelines
from millrace_worker.prediction_delivery import register_predictions
from millrace_worker.results import result_configuration
from millrace_worker.schedule.values import LOCK_SECONDS, TICK_SECONDS, schedule_of
from millrace_worker.settings import WorkerSettings, read_settings
from millrace_worker.submission_delivery import register_submissions
from millrace_worker.task_modules import register_task_modules
from millrace_worker.topology import work_queue


def create_app(settings: WorkerSettings) -> Celery:
    """Make the app for these settings; nothing is connected yet."""
    kind = settings.broker_kind
    app = Celery("millrace", events=None if capabilities(kind).events.is_there else SilentEvents)
    entries = schedule_of(settings)
    queues = {settings.queue, *(entry.task.queue for entry in entries if entry.task)}
    # What a broker cannot carry is switched off last.
    app.conf.update(
        **_delivery(settings) | broker_configuration(settings),
        **result_configuration(settings),
        task_queues=[work_queue(name, kind=kind) for name in sorted(queues)],
        **_beat(settings),
        millrace_schedule=entries,
    )
    context = Context(settings=settings, app=app)
    register_tasks(app, context)
    register_predictions(app, context)
    register_pipelines(app, context)
    register_submissions(app, context)
    register_task_modules(app, context)
    worker_process_shutdown.connect(lambda **_: context.close(), weak=False)
    lifecycle.install(app, settings.state_dir)
    return app


def _beat(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "beat_scheduler": "millrace_worker.schedule.beat:Scheduler",
        "beat_schedule": {},
        "beat_max_loop_interval": TICK_SECONDS,
        "redbeat_redis_url": settings.redis_url.get_secret_value(),
        "redbeat_redis_options": {"socket_connect_timeout": 3, "socket_timeout": 10, "socket_keepalive": True},
        "redbeat_key_prefix": ScheduleKeys.PREFIX,
        "redbeat_lock_timeout": LOCK_SECONDS,
        "millrace_tick_file": str(settings.state_dir / "tick"),
        "millrace_system_queue": settings.system_queue,
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
