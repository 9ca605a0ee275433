"""Produce to Kafka so that each message is either confirmed by all replicas or reported as not.

The producer is idempotent: librdkafka's own retries neither lose, double nor reorder. A task that is delivered again
does produce again, so consumers that must not see a message twice drop it by its key and headers. The producer lives
in the process that uses it, because its threads do not survive a fork.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined] # ConfigResource's public place, where it is imported
    AdminClient,
    ConfigResource,
)

from millrace_worker.errors import KafkaUnavailable, OutputUnwritable, WorkerError
from millrace_worker.kafka_message import KafkaMessage, TooLarge
from millrace_worker.kafka_settings import KafkaSettings, read_kafka_settings
from millrace_worker.logs import get_logger

DELIVERY_TIMEOUT_SECONDS: Final = 20.0
"""How long one message may wait for its confirm; then its task comes again later and frees its slot."""

METADATA_TIMEOUT_SECONDS: Final = 10.0

TOPIC_APPEARS_SECONDS: Final = 3.0
"""A cluster that makes topics at their first use denies them at first."""

MOST_BYTES: Final = 100_000_000
"""Of a message: that of a request that brokers take by default. What a topic takes, its broker says."""

_TOO_LARGE: Final = KafkaError.MSG_SIZE_TOO_LARGE

_STAYS: Final[dict[int, str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "there is no such topic; create it",
    KafkaError._UNKNOWN_TOPIC: "there is no such topic; create it",  # noqa: SLF001 - its public name in confluent_kafka
    KafkaError.TOPIC_EXCEPTION: "that is no name of a topic; correct it",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user must not write there; allow it",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this user must not write idempotently; allow it",
    _TOO_LARGE: "a message is larger than the topic takes; raise its max.message.bytes",
    KafkaError.POLICY_VIOLATION: "the cluster's policy refuses the message",
}
"""Errors that no waiting cures, and what does."""

_Undelivered = dict[int, tuple[KafkaMessage, KafkaError | None]]
"""By the number of the message; without an error there was no confirm in time."""

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
        if undelivered := self._deliver(producer, enumerate(messages)):
            self._give_up(producer)
            raise self._worst(undelivered)

    def send_what_fits(self, messages: Iterable[KafkaMessage]) -> Sequence[TooLarge]:
        """Do the same, but answer which messages are larger than their topic takes, instead of raising."""
        producer = self._connected()
        undelivered = self._deliver(producer, enumerate(messages))
        if not undelivered:
            return []
        self._give_up(producer)
        if not _too_large(undelivered):
            raise self._worst(undelivered)
        # Of a batch all are refused together; each by itself shows which it was.
        alone = Producer({**self._config(), "enable.idempotence": False, "batch.num.messages": 1})
        undelivered = self._deliver(alone, ((number, message) for number, (message, _) in undelivered.items()))
        alone.purge()
        alone.flush(1)
        if len(_too_large(undelivered)) < len(undelivered):
            raise self._worst({number: why for number, why in undelivered.items() if not _is_too_large(why[1])})
        return [
            TooLarge(number=number, size_bytes=_size(message), limit_bytes=self._limit_of(message.topic))
            for number, (message, _) in sorted(undelivered.items())
        ]

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

    def _deliver(self, producer: Any, messages: Iterable[tuple[int, KafkaMessage]]) -> _Undelivered:
        """Produce messages, wait for the confirms, and answer what was not confirmed."""
        undelivered: _Undelivered = {}
        try:
            for number, message in messages:
                undelivered[number] = (message, None)
                self._produce(producer, message, partial(_note, undelivered, number))
            # Every message has its report before this limit, because none may wait longer.
            producer.flush(DELIVERY_TIMEOUT_SECONDS + 5)
        except KafkaException as error:
            self._give_up(producer)
            raise self._translated(error.args[0], "") from error
        return undelivered

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
            except KafkaException as error:
                if not _is_too_large(error.args[0]):
                    raise
                note(error.args[0], None)
                return
            else:
                return

    def _connected(self) -> Any:
        if self._producer is None or self._pid != os.getpid():
            self._producer = Producer(self._config())
            self._pid = os.getpid()
        return self._producer

    def _config(self) -> dict[str, Any]:
        return {
            **self._settings.client_config(),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.max.bytes": MOST_BYTES,
            "topic.metadata.propagation.max.ms": int(TOPIC_APPEARS_SECONDS * 1000),
            "delivery.timeout.ms": int(DELIVERY_TIMEOUT_SECONDS * 1000),
            "error_cb": _log_error,
        }

    def _limit_of(self, topic: str) -> int | None:
        """Ask what the topic takes; not every user may ask, and nothing but words depends on it."""
        resource = ConfigResource("topic", topic)
        # Held until the answer is there: without it the client would hang up.
        client = AdminClient(self._settings.client_config())
        try:
            asked = client.describe_configs([resource], request_timeout=5)
            return int(asked[resource].result(timeout=6)["max.message.bytes"].value)
        except (KafkaException, KeyError, TimeoutError, TypeError, ValueError) as error:
            log.info("Kafka does not say what the topic takes", topic=topic, why=str(error))
            return None

    def _give_up(self, producer: Any) -> None:
        """Forget a producer that may still hold messages, or that librdkafka has declared dead."""
        producer.purge()
        producer.flush(1)
        self._producer = None

    def _worst(self, undelivered: _Undelivered) -> WorkerError:
        """Choose what to tell: what stays before what passes."""
        told = [(error, message.topic) for message, error in undelivered.values() if error is not None]
        stays = [each for each in told if each[0].code() in _STAYS]
        for error, topic in stays or told:
            return self._translated(error, topic)
        return self._translated(None, "")

    def _translated(self, error: KafkaError | None, topic: str) -> WorkerError:
        where = f'topic "{topic}" of ' if topic else ""
        name = error.name() if error is not None else "no confirm in time"
        if error is not None and (advice := _STAYS.get(error.code())):
            return OutputUnwritable(f"Kafka refuses messages for {where}{self._settings.bootstrap_servers}: {advice}")
        return KafkaUnavailable(f"Kafka ({where}{self._settings.bootstrap_servers}) is not available: {name}")


def _note(undelivered: _Undelivered, number: int, error: KafkaError | None, _message: Any) -> None:
    message, _ = undelivered.pop(number)
    if error is not None:
        undelivered[number] = (message, error)


def _is_too_large(error: KafkaError | None) -> bool:
    return error is not None and error.code() == _TOO_LARGE


def _too_large(undelivered: _Undelivered) -> list[int]:
    return [number for number, (_, error) in undelivered.items() if _is_too_large(error)]


def _size(message: KafkaMessage) -> int:
    texts = (message.key, message.value, *(text for header in message.headers for text in header))
    return sum(len(text.encode()) for text in texts)


def _log_error(error: KafkaError) -> None:
    log.warning("Kafka reports", error=error.name(), what=error.str())
