"""What is produced to Kafka, apart from the client that does it: only images that write to Kafka have that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaMessage:
    """One message; the key decides its partition."""

    topic: str
    key: str
    value: str
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLarge:
    """A message that its topic does not take."""

    number: int
    """Among those that were to be sent, from 0."""
    size_bytes: int
    limit_bytes: int | None
    """What the topic takes; None where it does not say."""


class KafkaSender(Protocol):
    """Where messages go."""

    def check_topic(self, topic: str) -> None:
        """Return if the topic is there, or raise OutputUnwritable or KafkaUnavailable."""

    def send(self, messages: Iterable[KafkaMessage]) -> None:
        """Return when Kafka has every message, or raise OutputUnwritable or KafkaUnavailable."""

    def send_what_fits(self, messages: Iterable[KafkaMessage]) -> Sequence[TooLarge]:
        """Do the same, but answer which messages are larger than their topic takes, instead of raising."""

    def close(self) -> None:
        """Give the connections back."""
