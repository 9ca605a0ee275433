"""A bounded part of a topic: from offsets to offsets, found once when the job is planned.

Reading commits nothing and joins no group, so it disturbs nobody and may be done any number of times. Offsets are not
dense: compaction and transactions leave gaps, so a shard may have fewer records than offsets.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import KafkaInput, KafkaPosition, KafkaShard
from millrace_contracts.shard_index import Extent
from millrace_worker.errors import InputChanged, InputMissing, InputUnusable, KafkaUnavailable, WorkerError
from millrace_worker.input.jsonl import parse_text
from millrace_worker.input.record import Parsed, Problem
from millrace_worker.input.sources import CursorKey, Sources
from millrace_worker.kafka_settings import KafkaSettings
from millrace_worker.logs import get_logger

ASK_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 30.0
"""How long a partition that has more may say nothing."""

_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001 - its public name in confluent_kafka
_REFUSED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)
_GONE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001 - its public name in confluent_kafka

log = get_logger(__name__)


def index_topic(source: KafkaInput, *, records_per_task: int, settings: KafkaSettings) -> Iterator[Extent]:
    """Cut the range into shards, partition by partition."""
    with _consumer(settings, source.topic) as consumer:
        ends = _watermarks(consumer, source.topic)
        starts = _resolved(consumer, source, source.start, ends, is_start=True)
        stops = _resolved(consumer, source, source.end, ends, is_start=False)
    for partition in sorted(starts.keys() & stops.keys()):
        for first in range(starts[partition], stops[partition], records_per_task):
            count = min(records_per_task, stops[partition] - first)
            yield Extent(partition, count, first + 1, first, count)


class MessageCursor:
    """A place in a partition, with the connections that a shard after this one needs too."""

    def __init__(self, shard: KafkaShard, settings: KafkaSettings) -> None:
        self._settings = settings
        self._place = f'topic "{shard.topic}", partition {shard.partition}'
        self._topic = shard.topic
        self._consumer = Consumer(_config(settings))
        self.position = shard.start_offset
        self._assign(shard, shard.start_offset)

    def read(self, shard: KafkaShard) -> list[Parsed]:
        """Read what is left of the range; a message that is no JSON object is a failure of its own."""
        if self.position != shard.start_offset:
            self._assign(shard, shard.start_offset)
        found: list[Parsed] = []
        # Until it has gone well, this place is not one to go on from.
        self.position = -1
        while (message := self._consumer.poll(SILENCE_SECONDS)) is not None:
            offset = message.offset() or 0
            if (error := message.error()) is not None:
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name in confluent_kafka
                    raise _translated(error, self._topic, self._settings)
                # Another may tell of an end that has moved since, when the shard before this one was read.
                if offset >= shard.end_offset:
                    return found
                continue
            if offset < shard.end_offset:
                found.append(_parsed(message, line=offset + 1))
            if offset >= shard.end_offset - 1:
                self.position = offset + 1
                return found
        raise KafkaUnavailable(
            f"Kafka ({self._settings.bootstrap_servers}) gives nothing of {self._place} for {SILENCE_SECONDS:.0f} s"
        )

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()

    def _assign(self, shard: KafkaShard, offset: int) -> None:
        self._consumer.assign([TopicPartition(shard.topic, shard.partition, offset)])


def read_messages(shard: KafkaShard, sources: Sources) -> list[Parsed]:
    """Read a shard, from where the one before it ended if this process read that."""
    settings = sources.kafka
    return sources.with_cursor(
        CursorKey(f"kafka:{settings.bootstrap_servers}/{shard.topic}", "offsets", str(shard.partition)),
        position=shard.start_offset,
        make=lambda: MessageCursor(shard, settings),
        use=lambda cursor: cursor.read(shard),
    )


def _parsed(message: Any, *, line: int) -> Parsed:
    value = message.value()
    if value is None:
        return line, None, Problem(RecordError.MALFORMED_JSON, "the message has no value; it marks a deleted key")
    return parse_text(value, line)


def _watermarks(consumer: Any, topic: str) -> dict[int, tuple[int, int]]:
    found = consumer.list_topics(topic, timeout=ASK_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return {
        partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ASK_SECONDS, cached=False)
        for partition in sorted(found.partitions)
    }


def _resolved(
    consumer: Any,
    source: KafkaInput,
    position: KafkaPosition,
    ends: Mapping[int, tuple[int, int]],
    *,
    is_start: bool,
) -> dict[int, int]:
    match position.position:
        case "Earliest":
            return {partition: low for partition, (low, _) in ends.items()}
        case "Latest":
            return {partition: high for partition, (_, high) in ends.items()}
        case "Timestamp":
            milliseconds = int((position.timestamp or 0.0) * 1000)
            asked = [TopicPartition(source.topic, partition, milliseconds) for partition in ends]
            answers = consumer.offsets_for_times(asked, timeout=ASK_SECONDS)
            for answer in answers:
                if answer.error is not None:
                    raise KafkaException(answer.error)
            # No record is that young: the end.
            return {
                answer.partition: answer.offset if answer.offset >= 0 else ends[answer.partition][1]
                for answer in answers
            }
        case "Offsets":
            return _checked(source.topic, position.offsets, ends, word="start" if is_start else "end")


def _checked(
    topic: str, offsets: Mapping[int, int], ends: Mapping[int, tuple[int, int]], *, word: str
) -> dict[int, int]:
    for partition, offset in offsets.items():
        if partition not in ends:
            raise InputUnusable(
                f'topic "{topic}" has no partition {partition}, only {len(ends)} from 0 on; correct {word}.offsets'
            )
        low, high = ends[partition]
        if not low <= offset <= high:
            raise InputUnusable(
                f'partition {partition} of topic "{topic}" has the offsets {low} to {high}, and {word}.offsets says '
                f"{offset}; correct it"
            )
    return dict(offsets)


def _config(settings: KafkaSettings) -> dict[str, Any]:
    return {
        **settings.client_config(),
        # The library wants a name; nothing is committed under it.
        "group.id": "millrace-jobs",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        # The end of a partition is told by an answer without records, which the broker delays by this.
        "fetch.wait.max.ms": 50,
        # What is read ahead for the next shard.
        "queued.max.messages.kbytes": 16_384,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "error_cb": _log_error,
    }


@contextmanager
def _consumer(settings: KafkaSettings, topic: str) -> Iterator[Any]:
    consumer = Consumer(_config(settings))
    try:
        yield consumer
    except KafkaException as error:
        raise _translated(error.args[0], topic, settings) from error
    finally:
        consumer.close()


def _translated(error: KafkaError, topic: str, settings: KafkaSettings) -> WorkerError:
    code, where = error.code(), f'topic "{topic}" of {settings.bootstrap_servers}'
    if code in _MISSING:
        return InputMissing(f"there is no {where}; create it, or correct topic")
    if code in _REFUSED:
        return InputUnusable(f"{where} cannot be read: {error.name()}; allow it for the user of the workers")
    if code in _GONE:
        return InputChanged(
            f"records of {where} that were planned are deleted by now; raise its retention, and create the job anew"
        )
    return KafkaUnavailable(f"Kafka ({where}) is not available: {error.name()}")


def _log_error(error: KafkaError) -> None:
    log.warning("Kafka reports", error=error.name(), what=error.str())
