"""The message of a batch, put together from bytes, is what the contracts say."""

import json

from millrace_contracts.streams import StreamBatch, StreamRecord, done_key
from millrace_ingest.batching import Batch
from millrace_ingest.messages import TaskMessages
from millrace_ingest.settings import Stream

RECORDS = [StreamRecord(offset=offset, key="ü", timestamp_ms=None, value={"x": "ä"}) for offset in (4, 6)]
BATCH = Batch(
    topic="events",
    partition=2,
    from_offset=3,
    to_offset=7,
    records=tuple(record.model_dump_json().encode() for record in RECORDS),
)


def stream(**others: object) -> Stream:
    return Stream.model_validate(
        {"name": "activity", "topic": "events", "group": "g", "task": "features.update", "queue": "q", **others}
    )


def test_the_task_gets_the_batch() -> None:
    message = TaskMessages(stream(), origin="bridge@host").of(BATCH)
    arguments, kwargs, _ = json.loads(message.body)
    assert ([], ["batch"]) == (arguments, list(kwargs))
    assert StreamBatch(
        stream="activity", topic="events", partition=2, from_offset=3, to_offset=7, records=RECORDS
    ) == StreamBatch.model_validate(kwargs["batch"])


def test_a_stream_can_give_its_task_more_arguments() -> None:
    message = TaskMessages(stream(arguments={"predict": {"model": "ü"}}), origin="").of(BATCH)
    assert {"model": "ü"} == json.loads(message.body)[1]["predict"]


def test_the_id_of_a_task_follows_from_topic_partition_and_offsets() -> None:
    message = TaskMessages(stream(), origin="").of(BATCH)
    assert ("features.update", "events-2-3-6", "events-2-3-6") == (
        message.headers["task"],
        message.headers["id"],
        message.properties["correlation_id"],
    )


def test_a_topic_that_is_made_anew_is_another_one() -> None:
    messages = TaskMessages(stream(), origin="")
    messages.topic_id = "id-of-the-second"
    _, arguments, _ = json.loads(messages.of(BATCH).body)
    second = StreamBatch.model_validate(arguments["batch"])
    assert "id-of-the-second" == second.topic_id
    assert done_key("s", "t", 0) != done_key("s", "t", 0, topic_id=second.topic_id)
