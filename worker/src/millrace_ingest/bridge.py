"""The loop: read records, make batches, publish them, and commit what RabbitMQ has. One thread, no locks.

An offset is committed only after RabbitMQ confirmed every batch up to it, and Kafka every dead letter. So whatever is
killed, and whenever: a record comes at least once, and its task does it once.

The loop never stops polling Kafka, so the group keeps this member while RabbitMQ is away or the queue is too long; its
partitions are paused meanwhile.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from millrace_ingest.batching import Accumulator, Batch
from millrace_ingest.consume import Place, Source
from millrace_ingest.dead_letters import MAX_WAITING, DeadLetters, dead_letter
from millrace_ingest.flow import Flow
from millrace_ingest.mapping import Mapper, Raw, Unusable
from millrace_ingest.messages import TaskMessages
from millrace_ingest.metrics import Metrics
from millrace_ingest.progress import Progress
from millrace_ingest.publish import Outgoing, Publisher
from millrace_ingest.settings import Stream
from millrace_worker.kafka_settings import KafkaSettings
from millrace_worker.logs import get_logger

READ_QUEUE_EVERY_SECONDS: Final = 0.25
COMMIT_EVERY_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 0.1
CONFIRMS_SECONDS: Final = 0.005
"""How long the loop listens to RabbitMQ when Kafka brought nothing."""

SETTLE_SECONDS: Final = 5.0
"""How long others wait for partitions that this bridge gives back, while it finishes what it has read of them."""

FULL_SECONDS: Final = 1.0
"""How long Kafka stays unpolled while as much as may be on its way is on its way."""

STUCK_SECONDS: Final = 60.0
"""A loop that did not turn for so long is taken for dead: no step of it waits longer than a few seconds."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Partition:
    """What the bridge knows of one partition that it reads."""

    batch: Accumulator
    progress: Progress


class Bridge:
    """One stream, for as long as this process lives."""

    def __init__(
        self,
        stream: Stream,
        *,
        broker_url: str,
        kafka: KafkaSettings,
        metrics: Metrics,
        origin: str,
        identify: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._messages = TaskMessages(stream, origin=origin)
        self._identify = identify
        self._metrics = metrics
        self._clock = clock
        self._partitions: dict[Place, Partition] = {}
        self._flow = Flow(high_water_messages=stream.high_water_messages, low_water_messages=stream.low_water_messages)
        self._mapper = Mapper(
            fields=stream.fields,
            required=stream.required,
            key_field=stream.key_field,
            delivers_tombstones=stream.tombstones == "deliver",
        )
        self.publisher = Publisher(broker_url, stream.queue, clock=clock, on_published=metrics.published)
        self._dead_letters = DeadLetters(
            {**stream.producer, **kafka.client_config()}, topic=stream.dead_letters, clock=clock
        )
        reading = {
            **stream.consumer,
            **kafka.client_config(),
            "group.id": stream.group,
            "client.id": origin,
            "auto.offset.reset": stream.start_from,
        }
        self.source = Source(reading, topic=stream.topic, owner=self)
        self._queue_read_at = self._committed_at = clock()
        self._turned_at: float | None = None
        self._full_since: float | None = None
        self._read_again_at_messages = stream.high_water_messages

    def run(self, stop: threading.Event) -> None:
        """Serve the stream until told to stop; then finish what was read, commit it and leave the group."""
        self.source.start()
        while not stop.is_set():
            self._turn()
        log.info("stopping: what was read is published and committed first")
        self.source.close()
        self._dead_letters.close()
        self.publisher.close()

    def problems(self) -> Mapping[str, str]:
        """Say why the loop counts as dead, if it does."""
        if self._turned_at is None:
            return {}
        age = self._clock() - self._turned_at
        return {"loop": f"it did not turn for {age:.0f} s"} if age > STUCK_SECONDS else {}

    def assigned(self, places: Sequence[Place]) -> None:
        """Begin with partitions.

        Raises:
            KafkaUnavailable: Kafka does not say which topic it is; to guess could take new events for done.
        """
        self._messages.topic_id = self._identify(self._stream.topic)
        for topic, number in places:
            self._partitions[topic, number] = Partition(
                Accumulator(
                    topic=topic,
                    partition=number,
                    max_records=self._stream.batch_records,
                    linger_seconds=self._stream.linger_seconds,
                ),
                Progress(),
            )

    def revoked(self, places: Sequence[Place]) -> None:
        """Finish what was read of these partitions as far as RabbitMQ takes it, and commit that."""
        ours = [self._partitions[place] for place in places if place in self._partitions]
        for partition in ours:
            self._send(partition, partition.batch.take())
        deadline = self._clock() + SETTLE_SECONDS
        self.publisher.work(wait_seconds=0.0)
        while (
            not all(partition.progress.is_settled for partition in ours)
            and self.publisher.is_connected
            and self._clock() < deadline
        ):
            self.publisher.work(wait_seconds=CONFIRMS_SECONDS)
            self._dead_letters.work(wait_seconds=CONFIRMS_SECONDS)
        self.source.commit(self._committable(places), waits=True)
        self.lost(places)

    def lost(self, places: Sequence[Place]) -> None:
        """Forget these partitions."""
        self.publisher.forget(places)
        for place in places:
            self._partitions.pop(place, None)

    def committed(self, offsets: Mapping[Place, int]) -> None:
        """Note what Kafka has as committed."""
        for place, offset in offsets.items():
            if partition := self._partitions.get(place):
                partition.progress.committed = offset

    def _turn(self) -> None:
        now = self._turned_at = self._clock()
        self._watch_queue(now)
        is_full = self.publisher.is_full or self._dead_letters.waiting >= MAX_WAITING
        self._full_since = (self._full_since or now) if is_full else None
        is_paused = self._must_pause(now)
        self.source.pause(is_paused=is_paused)
        brought = False
        if is_paused or not is_full:
            brought = self.source.poll(wait_seconds=self._patience(now), take=self._take)
        self._send_due(self._clock())
        self.publisher.work(wait_seconds=0.0 if brought else CONFIRMS_SECONDS)
        self._dead_letters.work()
        if now - self._committed_at >= COMMIT_EVERY_SECONDS:
            self._committed_at = now
            self.source.commit(self._committable(list(self._partitions)), waits=False)

    def _must_pause(self, now: float) -> bool:
        """Say whether to stop fetching. Not when full for a moment: a pause throws away what was fetched ahead."""
        is_stuck = self._full_since is not None and now - self._full_since > FULL_SECONDS
        return self._flow.is_stopped or is_stuck or not self.publisher.is_connected

    def _patience(self, now: float) -> float:
        """Answer how long to wait for a record: not at all while confirms are expected, else until a batch is due."""
        if self.publisher.is_waiting and self.publisher.is_connected:
            return 0.0
        due = [at for partition in self._partitions.values() if (at := partition.batch.due_at()) is not None]
        return min(max(min(due, default=now + IDLE_SECONDS) - now, 0.0), IDLE_SECONDS)

    def _watch_queue(self, now: float) -> None:
        filled = self.publisher.confirmed_messages >= self._read_again_at_messages
        if now - self._queue_read_at < READ_QUEUE_EVERY_SECONDS and not filled:
            return
        self._queue_read_at = now
        was_stopped = self._flow.is_stopped
        ready = self.publisher.ready_messages()
        is_stopped = self._flow.observe(ready)
        self._metrics.queue_was_read(ready, is_stopped=is_stopped)
        # At the latest when our own messages alone may have reached the mark.
        room = self._stream.high_water_messages - (ready or 0)
        self._read_again_at_messages = self.publisher.confirmed_messages + max(room, 1)
        if is_stopped != was_stopped:
            what = "queue above its high-water mark: reading stops" if is_stopped else "queue is short: reading goes on"
            log.info(what, queue=self._stream.queue, ready_messages=ready)

    def _take(self, place: Place, offset: int, message: Message) -> None:
        partition = self._partitions.get(place)
        if partition is None:
            return  # given back while it was on its way here
        expected = partition.batch.next_offset
        if expected is not None and offset < expected:
            log.warning("Kafka went back; records come again", topic=place[0], partition=place[1], offset=offset)
            self.assigned([place])
            partition = self._partitions[place]
        kind, timestamp = message.timestamp()
        raw = Raw(offset=offset, key=message.key(), value=message.value(), timestamp_ms=timestamp if kind else None)
        mapped = self._mapper.map(raw)
        if isinstance(mapped, Unusable):
            self._bury(message, partition.progress.dead_letter(offset), mapped.reason)
        record = None if isinstance(mapped, Unusable) else mapped
        self._send(partition, partition.batch.add(offset, record, self._clock()))

    def _bury(self, message: Message, settle: Callable[[], None], reason: str) -> None:

        def delivered() -> None:
            settle()
            self._metrics.dead_lettered()

        self._dead_letters.send(dead_letter(message, stream=self._stream.name, reason=reason, on_delivered=delivered))

    def _send_due(self, now: float) -> None:
        for partition in self._partitions.values():
            due = partition.batch.due_at()
            if due is not None and due <= now:
                self._send(partition, partition.batch.take())

    def _send(self, partition: Partition, batch: Batch | None) -> None:
        if batch is None:
            return
        confirmed = partition.progress.sent(batch.to_offset)
        if batch.records:
            self.publisher.offer(
                Outgoing(
                    place=(batch.topic, batch.partition),
                    message=self._messages.of(batch),
                    record_count=len(batch.records),
                    on_confirmed=confirmed,
                )
            )
        else:
            confirmed()

    def _committable(self, places: Sequence[Place]) -> dict[Place, int]:
        found = {
            place: partition.progress.committable() for place in places if (partition := self._partitions.get(place))
        }
        return {place: offset for place, offset in found.items() if offset is not None}
