"""Read one topic as a member of a group, and say in time which partitions come and go.

Offsets are committed by hand only. Partitions move one by one (cooperative-sticky): who keeps one reads on.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from millrace_worker.logs import get_logger

MAX_POLLED: Final = 100
"""Records between two looks at everything else."""

LOG_AGAIN_SECONDS: Final = 30.0

Place = tuple[str, int]
"""Topic and partition."""

Take = Callable[[Place, int, Message], None]
"""Is handed a record with its place and offset."""

log = get_logger(__name__)


class Owner(Protocol):
    """Who works on the partitions."""

    def assigned(self, places: Sequence[Place]) -> None:
        """Begin: the next record of these is the first after their committed offset."""

    def revoked(self, places: Sequence[Place]) -> None:
        """Finish what can be finished and commit it: others go on after the committed offset."""

    def lost(self, places: Sequence[Place]) -> None:
        """Forget these: others read them already, and nothing may be committed."""

    def committed(self, offsets: Mapping[Place, int]) -> None:
        """Note what Kafka has as committed."""


class Source:
    """The consumer."""

    def __init__(self, config: Mapping[str, Any], *, topic: str, owner: Owner) -> None:
        self._owner = owner
        self._topic = topic
        self._is_paused = False
        # Replaced whole: another thread reads it.
        self._places: frozenset[Place] = frozenset()
        self._said: dict[int, float] = {}
        self._consumer = Consumer(
            {
                # A member that dies is noticed after this; one that leaves, at once.
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 3_000,
                "queued.max.messages.kbytes": 16_384,
                "fetch.queue.backoff.ms": 50,
                **config,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "on_commit": self._on_commit,
                "error_cb": self._on_error,
                "logger": logging.getLogger("millrace_ingest.librdkafka.consumer"),
            }
        )

    @property
    def places(self) -> Sequence[Place]:
        """The partitions that are ours now."""
        return sorted(self._places)

    def start(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self, *, wait_seconds: float, take: Take) -> bool:
        """Hand over what is there, waiting at most this long for the first; says whether there was something.

        The first record is handed over before others are asked for: a rebalance may happen in between.
        """
        first = self._consumer.poll(wait_seconds)
        if first is None:
            return False
        self._hand_over(first, take)
        for message in self._consumer.consume(MAX_POLLED, 0):
            self._hand_over(message, take)
        return True

    def pause(self, *, is_paused: bool) -> None:
        """Stop or go on fetching; the group keeps us either way, as long as we poll."""
        if is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        self._apply_pause(self._places)

    def commit(self, offsets: Mapping[Place, int], *, waits: bool) -> None:
        """Commit the next offsets to read; without waiting, the owner is told when it is done."""
        if not offsets:
            return
        places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        try:
            if waits:
                self._consumer.commit(offsets=places, asynchronous=False)
                self._owner.committed(offsets)
            else:
                self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            log.warning("offsets are not committed; the records may come again", error=str(error))

    def close(self) -> None:
        """Give the partitions back and leave the group."""
        self._consumer.close()

    def _hand_over(self, message: Message, take: Take) -> None:
        error = message.error()
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            self._on_error(error)
        elif topic is not None and partition is not None and offset is not None:
            take((topic, partition), offset, message)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        if not places:
            return  # a member that joins is told so before anything is given to it
        self._places |= set(places)
        self._owner.assigned(places)
        consumer.incremental_assign(partitions)
        if self._is_paused:
            self._apply_pause(places)
        log.info("partitions assigned", topic=self._topic, partitions=[number for _, number in places])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        self._owner.revoked(places)
        self._places -= set(places)
        consumer.incremental_unassign(partitions)
        log.info("partitions given back", topic=self._topic, partitions=[number for _, number in places])

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        self._owner.lost(places)
        self._places -= set(places)
        consumer.incremental_unassign(partitions)
        log.warning("partitions lost; others read them", topic=self._topic, partitions=[number for _, number in places])

    def _apply_pause(self, places: Collection[Place]) -> None:
        partitions = [TopicPartition(*place) for place in places]
        if partitions:
            (self._consumer.pause if self._is_paused else self._consumer.resume)(partitions)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            self._say(error, "offsets are not committed yet; they are committed again")
            return
        self._owner.committed(
            {(one.topic, one.partition): one.offset for one in partitions if one.error is None and one.offset >= 0}
        )

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            raise KafkaException(error)
        self._say(error, "Kafka")

    def _say(self, error: KafkaError, what: str) -> None:
        """Log an error, and the same one again only after a while: clients repeat them many times a second."""
        now = time.monotonic()
        if now - self._said.get(error.code(), -LOG_AGAIN_SECONDS) >= LOG_AGAIN_SECONDS:
            self._said[error.code()] = now
            log.warning(what, topic=self._topic, error=str(error))


def _places(partitions: Sequence[TopicPartition]) -> list[Place]:
    return [(one.topic, one.partition) for one in partitions]
