"""Keep what cannot be used: its bytes as they came, in a topic of their own, with the reason in the headers."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from millrace_worker.logs import get_logger

MAX_WAITING: Final = 1000
"""Dead letters on their way at once; beyond, the bridge stops reading."""

RETRY_SECONDS: Final = 1.0

log = get_logger(__name__)


class Header:
    """Names of the headers that a dead letter has besides its own."""

    REASON: Final = "millrace-reason"
    TOPIC: Final = "millrace-topic"
    PARTITION: Final = "millrace-partition"
    OFFSET: Final = "millrace-offset"
    TIMESTAMP: Final = "millrace-timestamp"
    """Milliseconds since the epoch, as the record had it."""
    STREAM: Final = "millrace-stream"
    OMITTED_BYTES: Final = "millrace-omitted-bytes"
    """Size of a value that the topic does not take; it stays where it was, as long as its topic keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that cannot be used."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    on_delivered: Callable[[], None]


def dead_letter(message: Message, *, stream: str, reason: str, on_delivered: Callable[[], None]) -> DeadLetter:
    """Make the dead letter of a Kafka record."""
    kind, timestamp = message.timestamp()
    added = {
        Header.REASON: reason,
        Header.STREAM: stream,
        Header.TOPIC: message.topic(),
        Header.PARTITION: message.partition(),
        Header.OFFSET: message.offset(),
        Header.TIMESTAMP: timestamp if kind else "",
    }
    headers: list[Any] = list(message.headers() or [])
    return DeadLetter(
        key=message.key(),
        value=message.value(),
        headers=[*headers, *((name, str(value).encode()) for name, value in added.items())],
        on_delivered=on_delivered,
    )


class DeadLetters:
    """Delivers dead letters, each until Kafka has it."""

    def __init__(self, config: Mapping[str, Any], *, topic: str, clock: Callable[[], float]) -> None:
        self._topic = topic
        self._clock = clock
        self._waiting = 0
        self._failed: list[tuple[float, DeadLetter]] = []
        self._producer = Producer(
            {
                **config,
                "enable.idempotence": True,
                "linger.ms": 5,
                # A record fits wherever it came from; what its dead letter's topic takes, the broker says.
                "message.max.bytes": 100_000_000,
                "error_cb": _log_error,
                "logger": logging.getLogger("millrace_ingest.librdkafka.producer"),
            }
        )

    @property
    def waiting(self) -> int:
        """Count those that Kafka does not have yet."""
        return self._waiting

    def send(self, letter: DeadLetter) -> None:
        """Take over a dead letter."""
        self._waiting += 1
        self._produce(letter)

    def work(self, *, wait_seconds: float = 0.0) -> None:
        """Hear what was delivered, and send again what was not."""
        self._producer.poll(wait_seconds if self._waiting else 0.0)
        now = self._clock()
        due = [letter for at, letter in self._failed if at <= now]
        self._failed = [(at, letter) for at, letter in self._failed if at > now]
        for letter in due:
            self._produce(letter)

    def close(self) -> None:
        """Forget what is still on its way: its offsets are not committed, so it comes again."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _produce(self, letter: DeadLetter) -> None:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self._waiting -= 1
                letter.on_delivered()
            else:
                self._not_delivered(letter, error)

        try:
            self._producer.produce(
                self._topic, value=letter.value, key=letter.key, headers=list(letter.headers), on_delivery=delivered
            )
        except (BufferError, KafkaException) as error:
            self._not_delivered(letter, error)

    def _not_delivered(self, letter: DeadLetter, error: BufferError | KafkaError | KafkaException) -> None:
        if _is_too_large(error) and letter.value is not None:
            omitted = (Header.OMITTED_BYTES, str(len(letter.value)).encode())
            log.error(
                "a dead letter is too large for its topic and goes there without its value",
                topic=self._topic,
                value_bytes=len(letter.value),
            )
            smaller = DeadLetter(
                key=letter.key, value=None, headers=[*letter.headers, omitted], on_delivered=letter.on_delivered
            )
            self._failed.append((self._clock(), smaller))
            return
        log.warning(
            "a dead letter is not delivered; it is sent again, and no offset after it is committed meanwhile",
            topic=self._topic,
            error=str(error),
        )
        self._failed.append((self._clock() + RETRY_SECONDS, letter))


def _is_too_large(error: object) -> bool:
    inner = error.args[0] if isinstance(error, KafkaException) else error
    return isinstance(inner, KafkaError) and inner.code() == KafkaError.MSG_SIZE_TOO_LARGE


def _log_error(error: KafkaError) -> None:
    log.warning("Kafka, dead letters", error=str(error))
