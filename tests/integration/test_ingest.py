"""Events of a topic become tasks of a queue, and offsets are committed behind them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message
from containers import Container
from kafka import Kafka
from kombu import Connection
from streaming import StreamMaker, streams
from waiters import wait_until

from millrace_worker import topology


@pytest.fixture
def new_stream(kafka: Kafka, rabbitmq: Container, tmp_path: Path) -> Iterator[StreamMaker]:
    with streams(kafka, rabbitmq, tmp_path) as make:
        yield make


def headers(message: Message) -> dict[str, str]:
    return {name: bytes(value or b"").decode() for name, value in dict(message.headers() or []).items()}  # type: ignore[arg-type] # bytes


def test_events_arrive_as_the_stream_maps_them_and_what_is_of_no_use_is_kept_apart(new_stream: StreamMaker) -> None:
    stream = new_stream(topic_config={"max.message.bytes": "3000000"})
    stream.bridge(fields={"user": "who.id", "item": "item"}, required=["user"], keyField="user")
    good = {"who": {"id": "u1"}, "item": 7, "more": True}
    too_large = b'{"who": {"id": "u2"}, "item": "%b"}' % (b"x" * 1_100_000)
    stream.kafka.produce(stream.topic, good, b"not json", None, {"item": 1}, too_large, good)

    assert [(0, {"user": "u1", "item": 7})] * 2 == stream.wait_for_events(2)
    assert {"u1"} == {event.key for batch in stream.batches for event in batch.records}
    letters = {headers(letter)["millrace-offset"]: letter for letter in stream.kafka.read(f"{stream.topic}.dead", 4)}
    reasons = {offset: headers(letter)["millrace-reason"] for offset, letter in letters.items()}
    assert "the value is not JSON" in reasons["1"]
    assert "the record has no value" == reasons["2"]
    assert "required fields are missing: user" == reasons["3"]
    assert "at most" in reasons["4"]
    assert b"not json" == letters["1"].value()
    # The dead-letter topic does not take so much: the value stays where it was, and the letter says where.
    assert (None, str(len(too_large))) == (letters["4"].value(), headers(letters["4"])["millrace-omitted-bytes"])
    stream.wait_until_committed(6)
    (topic_id,) = {batch.topic_id for batch in stream.batches}
    assert topic_id, "without Kafka's own id of the topic, events of one that is made anew would count as done"


def test_an_open_batch_is_published_and_committed_when_the_bridge_is_told_to_stop(new_stream: StreamMaker) -> None:
    stream = new_stream()
    bridge = stream.bridge(batchRecords=2, lingerMilliseconds=60_000)
    stream.kafka.produce(stream.topic, {"n": 0}, {"n": 1}, {"n": 2})
    stream.wait_for_events(2)
    assert 0 == bridge.stop()
    assert [(0, {"n": 0}), (0, {"n": 1}), (0, {"n": 2})] == stream.wait_for_events(3)
    assert [(0, 2), (2, 3)] == [(batch.from_offset, batch.to_offset) for batch in stream.batches]
    assert [3] == stream.committed


def test_a_partition_that_moves_in_the_middle_of_a_batch_leaves_nothing_open(new_stream: StreamMaker) -> None:
    stream = new_stream(partitions=2)
    first = stream.bridge(batchRecords=2, lingerMilliseconds=60_000)
    for partition in (0, 1):
        stream.kafka.produce(stream.topic, {"n": 0}, {"n": 1}, {"n": 2}, partition=partition)
    stream.wait_for_events(4)
    second = stream.bridge(is_awaited=False)
    assert 5 == len(stream.wait_for_events(5))
    wait_until(lambda: '"partitions given back"' in first.log, what="what it logs afterwards", explain=stream.logs)
    wait_until(lambda: sorted(stream.committed) == [2, 3], what="what was published to be committed")
    for partition in (0, 1):
        stream.kafka.produce(stream.topic, {"n": 3}, partition=partition)
    wait_until(lambda: '"partitions assigned"' in second.log, what="the other one", explain=stream.logs)
    assert 0 == first.stop()
    assert 8 == len(stream.wait_for_events(8))
    assert 8 == sum(len(batch.records) for batch in stream.batches)


def test_reading_stops_above_the_high_water_mark_and_goes_on_below_the_low_one(new_stream: StreamMaker) -> None:
    stream = new_stream()
    bridge = stream.bridge(batchRecords=1, highWaterMessages=20, lowWaterMessages=5)
    stream.kafka.produce(stream.topic, *({"n": n} for n in range(1000)))
    wait_until(
        lambda: bridge.metric("millrace_ingest_paused") == 1,
        what="reading to stop",
        explain=stream.logs,
    )
    assert (20, 5) == (
        bridge.metric("millrace_ingest_high_water_messages"),
        bridge.metric("millrace_ingest_low_water_messages"),
    )
    wait_until(lambda: (bridge.metric("millrace_ingest_queue_messages") or 0) >= 20, what="the length")
    wait_until(lambda: (bridge.metric("millrace_ingest_lag_records") or 0) > 0, what="a lag")
    assert 1000 > (bridge.metric("millrace_ingest_records_total", outcome="published") or 0)
    assert 200 == bridge.status("readyz")

    with Connection(stream.broker_url) as connection, connection.channel() as channel:
        queue = topology.work_queue(stream.queue)(channel)
        wait_until(
            lambda: (
                queue.purge() >= 0
                and bridge.metric("millrace_ingest_records_total", outcome="published") == 1000
                and bridge.metric("millrace_ingest_paused") == 0
            ),
            what="all events",
            timeout_seconds=120,
            explain=stream.logs,
        )
    stream.wait_until_committed(1000)
