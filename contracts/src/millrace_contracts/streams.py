"""Events from Kafka, as a task receives them, and how a replay of them is done once.

A batch covers a range of offsets of one partition, [from_offset, to_offset), without a hole to the batch before it:
offsets that hold no usable record (a malformed event, a transaction marker) are covered too. What was done is kept as a
set of disjoint ranges; neighbours merge, so it has one range more than there are holes.
"""

from typing import Any, Final

from pydantic import Field

from millrace_contracts.payload import Payload


class StreamRecord(Payload):
    """One event: its place, its key, and the fields that the stream's mapping made of it."""

    offset: int = Field(ge=0)
    key: str | None = None
    timestamp_ms: int | None = None
    """Of the Kafka record, milliseconds since the epoch."""
    value: dict[str, Any]


class StreamBatch(Payload):
    """Consecutive events of one partition: keyword argument `batch` of the stream's task."""

    stream: str
    """Name of the stream in the chart's values."""
    topic: str
    topic_id: str = ""
    """Kafka's own id of the topic: one that is deleted and made anew is another, though its offsets begin again."""
    partition: int = Field(ge=0)
    from_offset: int = Field(ge=0)
    to_offset: int = Field(ge=1)
    """The first offset that is not covered."""
    records: list[StreamRecord]


def batch_id(topic: str, partition: int, first_offset: int, last_offset: int) -> str:
    """Name the task of a batch: topic-partition-offset, with the last offset where there are several."""
    first = f"{topic}-{partition}-{first_offset}"
    return first if first_offset == last_offset else f"{first}-{last_offset}"


def done_key(stream: str, topic: str, partition: int, *, topic_id: str = "") -> str:
    """Redis sorted set of the ranges that are done: member "from-to" (to excluded), score from."""
    which = f"{topic}:{topic_id}" if topic_id else topic
    return f"millrace:stream:{{{stream}}}:{which}:{partition}:done"


MARK_DONE_SCRIPT: Final = """
local from, to = tonumber(ARGV[1]), tonumber(ARGV[2])
local ranges = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', to)
for _, range in ipairs(ranges) do
  local a, b = string.match(range, '^(%d+)-(%d+)$')
  a, b = tonumber(a), tonumber(b)
  if b >= from then
    from, to = math.min(from, a), math.max(to, b)
    redis.call('ZREM', KEYS[1], range)
  end
end
redis.call('ZADD', KEYS[1], from, string.format('%.0f-%.0f', from, to))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""Add [from, to) to the ranges that are done: KEYS done; ARGV from, to, seconds to keep the set.

Whoever wants effects in Redis exactly once makes the effect and this mark in one script or transaction.
"""

DONE_RETENTION_SECONDS: Final = 30 * 86_400
"""Longer than Kafka keeps a record by default (7 days): a replay from the beginning still finds what was done."""


class IngestMetricNames:
    """Prometheus metrics of the bridge."""

    RECORDS: Final = "millrace_ingest_records_total"
    """By stream and outcome: published, dead-lettered."""
    LAG: Final = "millrace_ingest_lag_records"
    """By stream, topic and partition: high watermark less committed offset."""
    PAUSED: Final = "millrace_ingest_paused"
    """By stream: 1 while partitions are paused because the queue is above its high-water mark."""
    QUEUE_MESSAGES: Final = "millrace_ingest_queue_messages"
    """By stream and queue: ready messages of the queue, as last read."""
    HIGH_WATER: Final = "millrace_ingest_high_water_messages"
    LOW_WATER: Final = "millrace_ingest_low_water_messages"
