"""Start a bridge: settings, logging, topics, then the loop until SIGTERM."""

import platform
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Final

from millrace_ingest.bridge import Bridge
from millrace_ingest.errors import KafkaUnavailable, SettingsInvalid
from millrace_ingest.lag import LagReader
from millrace_ingest.metrics import Metrics, serve
from millrace_ingest.settings import Stream, read_settings, read_stream
from millrace_ingest.topics import Topics
from millrace_worker.errors import SettingsInvalid as KafkaSettingsInvalid
from millrace_worker.kafka_settings import read_kafka_settings
from millrace_worker.logs import configure_logging, get_logger

ASK_AGAIN_SECONDS: Final = 2.0

log = get_logger(__name__)


def main() -> None:
    """Run the bridge until it is told to stop."""
    try:
        settings, kafka = read_settings(), read_kafka_settings()
        stream = read_stream(settings.ingest_config_file)
    except (SettingsInvalid, KafkaSettingsInvalid) as error:
        sys.exit(f"millrace-ingest: {error}")
    if not kafka.is_configured:
        sys.exit("millrace-ingest: a bridge needs Kafka; set MILLRACE_KAFKA_BOOTSTRAP_SERVERS")
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics, topics = Metrics(stream), Topics(kafka.client_config())
    bridge = Bridge(
        stream,
        broker_url=settings.broker_url.get_secret_value(),
        kafka=kafka,
        metrics=metrics,
        origin=f"millrace-ingest@{platform.node()}",
        identify=topics.identify,
    )
    lag = LagReader(topics, stream, places=lambda: bridge.source.places, metrics=metrics)

    def not_ready() -> Mapping[str, str]:
        rabbitmq = {} if bridge.publisher.is_connected else {"rabbitmq": "it does not answer; records wait in Kafka"}
        return {**rabbitmq, **({"kafka": lag.problem} if lag.problem else {})}

    server = serve(settings.ingest_port, registry=metrics.registry, alive=bridge.problems, ready=not_ready)
    log.info("starting", stream=stream.name, topic=stream.topic, queue=stream.queue, port=server.server_port)
    _wait_for_topics(topics, stream, stop)
    lag.start()
    bridge.run(stop)
    lag.stop()


def _wait_for_topics(topics: Topics, stream: Stream, stop: threading.Event) -> None:
    """Ask until Kafka answers: it may start after the bridge."""
    while not stop.is_set():
        try:
            topics.ensure(stream)
        except KafkaUnavailable as error:
            log.warning("waiting for Kafka", error=str(error), asks_again_in_seconds=ASK_AGAIN_SECONDS)
            stop.wait(ASK_AGAIN_SECONDS)
        else:
            return


if __name__ == "__main__":
    main()
