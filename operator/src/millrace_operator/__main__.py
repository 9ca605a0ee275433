"""Start the operator: settings, logging, clients, then kopf, which runs the loops until it is told to stop."""

import gc
import sys
from typing import Final

import kopf
import structlog
from kombu.utils.url import parse_url
from pydantic import ValidationError
from redis.asyncio import Redis

from millrace_operator.actuation.drain import Drainer
from millrace_operator.actuation.kubernetes_api import KubernetesApi, load_client_configuration
from millrace_operator.actuation.plan_broker import PlanBroker
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.actuation.worker_control import WorkerControl
from millrace_operator.api.worker_pool import SourceType
from millrace_operator.clock import Clock
from millrace_operator.handlers.context import OperatorContext
from millrace_operator.handlers.heartbeats import Heartbeats
from millrace_operator.handlers.lifecycle import register
from millrace_operator.handlers.object_store import ObjectStore
from millrace_operator.observation.beat_entries import BeatEntries
from millrace_operator.observation.broker import PassiveDeclares
from millrace_operator.observation.delayed_tasks import DelayedTasks
from millrace_operator.observation.heartbeats import HeartbeatListener
from millrace_operator.observation.held_back import HeldBackTasks
from millrace_operator.observation.outlook import OutlookObserver
from millrace_operator.observation.rabbitmq import RabbitMqObserver
from millrace_operator.observation.rabbitmq_metrics import RabbitMqMetrics
from millrace_operator.observation.sources import connect_sources
from millrace_operator.observation.triton import TritonLoads
from millrace_operator.reporting import metrics
from millrace_operator.reporting.log_config import configure_logging
from millrace_operator.reporting.pool_waits import WaitBoard
from millrace_operator.settings import OperatorSettings

GC_THRESHOLDS: Final = (100_000, 20, 100)
log = structlog.get_logger("millrace.operator")


def main() -> None:
    """Run the operator until it is stopped."""
    settings = _settings()
    # A pass over a thousand pools makes and drops some 100,000 small objects, none of them in cycles: with Python's
    # default of 700 the collector doubled the time of the slowest passes.
    gc.set_threshold(*GC_THRESHOLDS)
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    load_client_configuration()
    context = _context(settings)
    registry = kopf.OperatorRegistry()
    register(registry, context)
    metrics.serve(settings.metrics_port)
    log.info("starting", namespaces=settings.namespaces or "all", metrics_port=settings.metrics_port)
    kopf.run(
        registry=registry,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.liveness_port}/healthz",
    )


def _settings() -> OperatorSettings:
    try:
        return OperatorSettings()
    except ValidationError as error:
        wrong = (f"MILLRACE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        sys.exit("The operator cannot start. Set these environment variables:\n  " + "\n  ".join(wrong))


def _context(settings: OperatorSettings) -> OperatorContext:
    clock, redis = Clock(), _redis(settings)
    kubernetes = KubernetesApi(timeout_seconds=settings.kubernetes_timeout_seconds)
    brokers = _brokers(settings)
    is_rabbitmq, broker_url = settings.broker_kind == "rabbitmq", settings.broker_url.get_secret_value()
    return OperatorContext(
        settings=settings,
        redis=redis,
        publisher=PlanPublisher(_plan_broker(settings), queue=settings.system_queue),
        sources=connect_sources(settings, rabbitmq=_rabbitmq(settings, clock) if is_rabbitmq else None, clock=clock),
        heartbeats=Heartbeats([HeartbeatListener(broker_url=url, clock=clock) for url in brokers.values()]),
        future=OutlookObserver(
            beat=BeatEntries(redis),
            delayed=DelayedTasks(broker_url=broker_url, clock=clock) if is_rabbitmq else None,
            on_failure=metrics.count_observation_failure,
        ),
        inference=TritonLoads(timeout_seconds=settings.triton_timeout_seconds, clock=clock),
        drainer=Drainer(
            kubernetes=kubernetes,
            controls={type_: WorkerControl(broker_url=url) for type_, url in brokers.items()},
            clock=clock,
        ),
        waits=WaitBoard(redis),
        held_back=HeldBackTasks(),
        kubernetes=kubernetes,
        objects=ObjectStore(),
        clock=clock,
    )


def _brokers(settings: OperatorSettings) -> dict[SourceType, str]:
    """Name the brokers over which Celery workers can be heard and told; SQS carries neither."""
    brokers = {}
    if settings.broker_kind == "rabbitmq":
        brokers[SourceType.RABBITMQ] = settings.broker_url.get_secret_value()
    if settings.redis_broker_url is not None:
        brokers[SourceType.REDIS] = settings.redis_broker_url.get_secret_value()
    return brokers


def _plan_broker(settings: OperatorSettings) -> PlanBroker:
    return PlanBroker(
        url=settings.broker_url.get_secret_value(),
        kind=settings.broker_kind,
        timeout_seconds=settings.publish_timeout_seconds,
        sqs_region=settings.sqs_region,
        sqs_tls=settings.sqs_tls,
    )


def _rabbitmq(settings: OperatorSettings, clock: Clock) -> RabbitMqObserver:
    broker_url = settings.broker_url.get_secret_value()
    return RabbitMqObserver(
        metrics=RabbitMqMetrics(
            urls=settings.broker_metrics_urls,
            virtual_host=parse_url(broker_url)["virtual_host"] or "/",
            timeout_seconds=settings.broker_timeout_seconds,
        ),
        declares=PassiveDeclares(broker_url=broker_url, timeout_seconds=settings.broker_timeout_seconds),
        clock=clock,
    )


def _redis(settings: OperatorSettings) -> Redis:
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=settings.redis_timeout_seconds,
        socket_connect_timeout=settings.redis_timeout_seconds,
        health_check_interval=15,
    )


if __name__ == "__main__":
    main()
