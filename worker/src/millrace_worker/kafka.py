"""Produce to Kafka so that each message is either confirmed by all replicas or reported as not.

The producer is idempotent: librdkafka's own retries neither lose, double nor reorder. A task that is delivered again
does produce again, so consumers that must not see a message twice drop it by its key and headers. The producer lives
in the process that uses it, because its threads do not survive a fork.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from millrace_worker.errors import KafkaUnavailable, OutputUnwritable, WorkerError
from millrace_worker.kafka_message import KafkaMessage
from millrace_worker.kafka_settings import KafkaSettings, read_kafka_settings
from millrace_worker.logs import get_logger

DELIVERY_TIMEOUT_SECONDS: Final = 20.0
"""How long one message may wait for its confirm; then its task comes again later and frees its slot."""

METADATA_TIMEOUT_SECONDS: Final = 10.0

TOPIC_APPEARS_SECONDS: Final = 3.0
"""A cluster that makes topics at their first use denies them at first."""

_STAYS: Final[dict[int, str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "there is no such topic; create it",
    KafkaError._UNKNOWN_TOPIC: "there is no such topic; create it",  # noqa: SLF001 - its public name in confluent_kafka
    KafkaError.TOPIC_EXCEPTION: "that is no name of a topic; correct it",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user must not write there; allow it",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this user must not write idempotently; allow it",
    KafkaError.MSG_SIZE_TOO_LARGE: "a message is larger than the topic takes; raise its max.message.bytes",
    KafkaError.POLICY_VIOLATION: "the cluster's policy refuses the message",
}
"""Errors that no waiting cures, and what does."""

log = get_logger(__name__)


class KafkaProducer:
    """Sends messages and waits until Kafka has them. For one thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._pid = -1

    @classmethod
    def from_environment(cls) -> "KafkaProducer":
        """Make the producer of this process, or raise OutputUnwritable where it is told of no Kafka."""
        settings = read_kafka_settings()
        if not settings.is_configured:
            raise OutputUnwritable(
                "this pool knows no Kafka: set kafka in the chart's values (MILLRACE_KAFKA_BOOTSTRAP_SERVERS), "
                "or choose another output"
            )
        return cls(settings)

    def check_topic(self, topic: str) -> None:
        """Return if the topic is there, or raise OutputUnwritable or KafkaUnavailable."""
        appears_by = monotonic() + TOPIC_APPEARS_SECONDS
        while (error := self._topic_error(topic)) is not None:
            if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART or monotonic() > appears_by:
                raise self._translated(error, topic)
            threading.Event().wait(0.25)

    def send(self, messages: Iterable[KafkaMessage]) -> None:
        """Return when Kafka has confirmed every message, or raise OutputUnwritable or KafkaUnavailable."""
        producer = self._connected()
        refused: list[tuple[KafkaError, str]] = []

        def note(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                refused.append((error, message.topic()))

        try:
            for message in messages:
                self._produce(producer, message, note)
            # Every message has its report before this limit, because none may wait longer.
            left = producer.flush(DELIVERY_TIMEOUT_SECONDS + 5)
        except KafkaException as error:
            self._give_up(producer)
            raise self._translated(error.args[0], "") from error
        if refused or left:
            self._give_up(producer)
            cause, topic = _worst(refused)
            raise self._translated(cause, topic)

    def close(self) -> None:
        """Give the connections back. Nothing can be unsent: `send` waits."""
        if self._producer is not None and self._pid == os.getpid():
            self._producer.close()
        self._producer = None

    def _topic_error(self, topic: str) -> KafkaError | None:
        try:
            found = self._connected().list_topics(topic, timeout=METADATA_TIMEOUT_SECONDS).topics[topic]
        except KafkaException as error:
            return error.args[0]  # type: ignore[no-any-return] # confluent_kafka's exceptions hold a KafkaError
        return found.error  # type: ignore[no-any-return] # confluent_kafka has no types

    def _produce(self, producer: Any, message: KafkaMessage, note: Any) -> None:
        headers = [(name, value.encode()) for name, value in message.headers]
        while True:
            try:
                producer.produce(
                    message.topic,
                    value=message.value.encode(),
                    key=message.key.encode(),
                    headers=headers,
                    on_delivery=note,
                )
            except BufferError:
                # The local queue is full: confirms make room.
                producer.poll(0.1)
            else:
                return

    def _connected(self) -> Any:
        if self._producer is None or self._pid != os.getpid():
            self._producer = Producer(
                {
                    **self._settings.client_config(),
                    "enable.idempotence": True,
                    "acks": "all",
                    "linger.ms": 5,
                    "compression.type": "lz4",
                    "topic.metadata.propagation.max.ms": int(TOPIC_APPEARS_SECONDS * 1000),
                    "delivery.timeout.ms": int(DELIVERY_TIMEOUT_SECONDS * 1000),
                    "error_cb": _log_error,
                }
            )
            self._pid = os.getpid()
        return self._producer

    def _give_up(self, producer: Any) -> None:
        """Forget a producer that may still hold messages, or that librdkafka has declared dead."""
        producer.purge()
        producer.flush(1)
        self._producer = None

    def _translated(self, error: KafkaError | None, topic: str) -> WorkerError:
        where = f'topic "{topic}" of ' if topic else ""
        name = error.name() if error is not None else "no confirm in time"
        if error is not None and (advice := _STAYS.get(error.code())):
            return OutputUnwritable(f"Kafka refuses messages for {where}{self._settings.bootstrap_servers}: {advice}")
        return KafkaUnavailable(f"Kafka ({where}{self._settings.bootstrap_servers}) is not available: {name}")


def _worst(refused: Sequence[tuple[KafkaError, str]]) -> tuple[KafkaError | None, str]:
    """Choose what to tell: what stays before what passes."""
    for error, topic in refused:
        if error.code() in _STAYS:
            return error, topic
    return refused[0] if refused else (None, "")


def _log_error(error: KafkaError) -> None:
    log.warning("Kafka reports", error=error.name(), what=error.str())
