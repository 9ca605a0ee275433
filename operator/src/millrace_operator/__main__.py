"""Start the operator: settings, logging, clients, then kopf, which runs the loops until it is told to stop."""

import sys

import kopf
import structlog
from kombu.utils.url import parse_url
from pydantic import ValidationError
from redis.asyncio import Redis

from millrace_operator.actuation.kubernetes_api import KubernetesApi, load_client_configuration
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.clock import Clock
from millrace_operator.handlers.context import OperatorContext
from millrace_operator.handlers.lifecycle import register
from millrace_operator.handlers.object_store import ObjectStore
from millrace_operator.observation.broker import PassiveDeclares
from millrace_operator.observation.rabbitmq import RabbitMqObserver
from millrace_operator.observation.rabbitmq_metrics import RabbitMqMetrics
from millrace_operator.reporting import metrics
from millrace_operator.reporting.log_config import configure_logging
from millrace_operator.settings import OperatorSettings

log = structlog.get_logger("millrace.operator")


def main() -> None:
    """Run the operator until it is stopped."""
    settings = _settings()
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
    broker_url = settings.broker_url.get_secret_value()
    return OperatorContext(
        settings=settings,
        redis=_redis(settings),
        publisher=PlanPublisher(
            broker_url=broker_url,
            system_queue=settings.system_queue,
            timeout_seconds=settings.publish_timeout_seconds,
        ),
        observer=RabbitMqObserver(
            metrics=RabbitMqMetrics(
                urls=settings.broker_metrics_urls,
                virtual_host=parse_url(broker_url)["virtual_host"] or "/",
                timeout_seconds=settings.broker_timeout_seconds,
            ),
            declares=PassiveDeclares(broker_url=broker_url, timeout_seconds=settings.broker_timeout_seconds),
        ),
        kubernetes=KubernetesApi(timeout_seconds=settings.kubernetes_timeout_seconds),
        objects=ObjectStore(),
        clock=Clock(),
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
