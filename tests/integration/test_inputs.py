"""Inputs from servers: an S3-compatible store, the web with and without ranges, and Kafka."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from file_server import FileServer, running_file_server
from kafka import Kafka
from object_store import ObjectStoreServer, running_object_store
from pyarrow import parquet

from millrace_contracts.inputs import (
    HttpInput,
    Input,
    KafkaInput,
    KafkaPosition,
    ObjectStoreInput,
    Reading,
    RecordFormat,
)
from millrace_contracts.results import RecordFailure
from millrace_worker.errors import (
    InputChanged,
    InputHasNoRecords,
    InputMissing,
    InputUnusable,
    KafkaUnavailable,
    StorageUnavailable,
)
from millrace_worker.input import kafka_range
from millrace_worker.input.index import InputIndex, index_input, shard_at
from millrace_worker.input.read import read_shard
from millrace_worker.input.record import Record
from millrace_worker.input.sources import Sources
from millrace_worker.kafka_settings import KafkaSettings
from millrace_worker.storage.claims import Claims

LINES = "".join(f'{{"x": {i}}}\n' for i in range(10)).encode()


def sources_with(kafka: str = "") -> Sources:
    return Sources(Claims(Path("/none")), kafka=lambda: KafkaSettings(bootstrap_servers=kafka))


@pytest.fixture
def sources() -> Iterator[Sources]:
    sources = sources_with()
    yield sources
    sources.close()


def plan(source: Input, sources: Sources, form: RecordFormat = RecordFormat.JSONL) -> InputIndex:
    return index_input(source, Reading(format=form), records_per_task=4, sources=sources)


def read(found: InputIndex, sources: Sources, form: RecordFormat = RecordFormat.JSONL) -> list[Record | RecordFailure]:
    """Read all shards, the last one first."""
    shards = [
        shard_at(i, extent, files=found.files, kafka_topic=found.kafka_topic) for i, extent in enumerate(found.extents)
    ]
    parts = [read_shard(shard, Reading(format=form), sources=sources) for shard in reversed(shards)]
    return [record for part in reversed(parts) for record in part]


def values(records: list[Record | RecordFailure]) -> list[Any]:
    return [record.value["x"] if isinstance(record, Record) else record.error.code for record in records]


def table(count: int) -> bytes:
    written = io.BytesIO()
    parquet.write_table(pa.table({"x": range(count)}), written, row_group_size=3)
    return written.getvalue()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    with running_object_store(tmp_path_factory.mktemp("store")) as server:
        server.make_bucket("data")
        yield server


@pytest.fixture
def in_store(store: ObjectStoreServer, monkeypatch: pytest.MonkeyPatch) -> ObjectStoreServer:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


def test_the_objects_of_a_prefix_are_read_in_the_order_of_their_keys(
    in_store: ObjectStoreServer, sources: Sources
) -> None:
    in_store.put("data", "many/b/2.jsonl.gz", gzip.compress(LINES))
    in_store.put("data", "many/a/1.jsonl", LINES)
    for left_out in ("many/_SUCCESS", "many/a/.part.jsonl", "many/a/old.jsonl", "manyother/1.jsonl"):
        in_store.put("data", left_out, LINES)
    found = plan(ObjectStoreInput(uri="s3://data/many", excludes=["old.*"]), sources)
    records = read(found, sources)
    assert ["a/1.jsonl", "b/2.jsonl.gz"] == [file.name for file in found.files]
    assert [*range(10), *range(10)] == values(records)
    assert ["a/1.jsonl:1", "b/2.jsonl.gz:10"] == [records[0].key, records[-1].key]


def test_an_object_is_read_by_its_key_and_its_change_is_noticed(in_store: ObjectStoreServer, sources: Sources) -> None:
    in_store.put("data", "one.parquet", table(10))
    found = plan(ObjectStoreInput(uri="s3://data/one.parquet"), sources, RecordFormat.PARQUET)
    assert list(range(10)) == values(read(found, sources, RecordFormat.PARQUET))
    in_store.put("data", "one.jsonl", LINES)
    found = plan(ObjectStoreInput(uri="s3://data/one.jsonl"), sources)
    in_store.put("data", "one.jsonl", LINES.replace(b"1", b"2"))
    with pytest.raises(InputChanged, match=r'"s3://data/one\.jsonl" changed while the job ran'):
        read(found, sources)


@pytest.mark.parametrize("uri", ["s3://data/nothing/", "s3://data/nothing.jsonl", "s3://no-such-bucket/a"])
def test_what_is_not_in_the_store_is_missing(in_store: ObjectStoreServer, sources: Sources, uri: str) -> None:
    assert in_store.answers()
    with pytest.raises(InputMissing, match=uri.removesuffix("/")):
        plan(ObjectStoreInput(uri=uri), sources)


def test_a_store_that_refuses_the_keys_makes_the_input_unusable(in_store: ObjectStoreServer, sources: Sources) -> None:
    in_store.refuse_everybody()
    try:
        with pytest.raises(InputUnusable, match=r"let the keys of objectStore in the chart's values list and read it"):
            plan(ObjectStoreInput(uri="s3://data/many"), sources)
    finally:
        in_store.allow_everybody()


def test_a_store_that_is_away_costs_time_and_no_record(
    in_store: ObjectStoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_store.answers()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable, match="cannot be read now"):
        plan(ObjectStoreInput(uri="s3://data/many"), sources_with())


@pytest.fixture(params=[True, False], ids=["with ranges", "without ranges"])
def web(request: pytest.FixtureRequest) -> Iterator[FileServer]:
    with running_file_server(knows_ranges=request.param) as server:
        yield server


def test_files_behind_urls_are_read_with_and_without_ranges(web: FileServer, sources: Sources) -> None:
    web.files = {"/a.jsonl": LINES, "/real/b.jsonl.gz": gzip.compress(LINES), "/empty.jsonl": b""}
    web.redirects = {"/b.jsonl.gz": web.url("/real/b.jsonl.gz")}
    urls = [web.url("/a.jsonl?signature=secret"), web.url("/b.jsonl.gz"), web.url("/empty.jsonl")]
    found = plan(HttpInput(urls=urls), sources)
    records = read(found, sources)
    assert [*range(10), *range(10)] == values(records)
    assert ["a.jsonl:1", "b.jsonl.gz:10"] == [records[0].key, records[-1].key]


def test_shards_in_order_fetch_a_file_without_ranges_once(sources: Sources) -> None:
    with running_file_server(knows_ranges=False) as web:
        web.files = {"/a.jsonl": LINES}
        found = plan(HttpInput(urls=[web.url("/a.jsonl")]), sources)
        planned = web.whole["/a.jsonl"]
        for i, extent in enumerate(found.extents):
            read_shard(shard_at(i, extent, files=found.files), Reading(), sources=sources)
        assert 1 == web.whole["/a.jsonl"] - planned


def test_a_url_says_what_is_wrong_with_it_and_shows_no_secret(web: FileServer, sources: Sources) -> None:
    web.files = {"/cut.jsonl": LINES, "/changing.jsonl": LINES}
    web.statuses = {"/broken": 503, "/private": 403}
    for path, error in {"/none": InputMissing, "/broken": StorageUnavailable, "/private": InputUnusable}.items():
        with pytest.raises(error) as caught:
            plan(HttpInput(urls=[web.url(f"{path}?key=secret").replace("//", "//user:password@")]), sources)
        assert path in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "password" not in str(caught.value)
    found = plan(HttpInput(urls=[web.url("/cut.jsonl")]), sources)
    web.cut_off = {"/cut.jsonl"}
    with pytest.raises(StorageUnavailable, match="RemoteProtocolError"):
        read(found, sources)
    found = plan(HttpInput(urls=[web.url("/changing.jsonl")]), sources)
    web.files["/changing.jsonl"] = LINES + LINES
    with pytest.raises(InputChanged):
        read(found, sources)
    with pytest.raises(StorageUnavailable):
        plan(HttpInput(urls=["http://127.0.0.1:9/a.jsonl"]), sources)


def test_parquet_needs_ranges(web: FileServer, sources: Sources) -> None:
    web.files = {"/a.parquet": table(10)}
    source = HttpInput(urls=[web.url("/a.parquet")])
    if web.knows_ranges:
        found = plan(source, sources, RecordFormat.PARQUET)
        assert list(range(10)) == values(read(found, sources, RecordFormat.PARQUET))
    else:
        with pytest.raises(InputUnusable, match="answers no Range requests"):
            plan(source, sources, RecordFormat.PARQUET)


def test_a_topic_is_read_from_offsets_to_offsets(kafka: Kafka) -> None:
    kafka.create_topics("bounded", partitions=2)
    kafka.produce("bounded", *({"x": i} for i in range(6)))
    kafka.produce("bounded", {"x": 6}, None, b"[1]", b"\xff", {"x": 7}, partition=1)
    sources = sources_with(kafka.bootstrap_servers)
    found = plan(KafkaInput(topic="bounded"), sources)
    kafka.produce("bounded", {"x": 99})
    records = read(found, sources)
    assert [0, 1, 2, 3, 4, 5, 6, "MalformedJSON", "MalformedJSON", "MalformedJSON", 7] == values(records)
    assert ["bounded-0:0", "bounded-1:4"] == [records[0].key, records[-1].key]
    part = KafkaInput(
        topic="bounded",
        start=KafkaPosition(position="Offsets", offsets={0: 2}),
        end=KafkaPosition(position="Offsets", offsets={0: 5, 1: 1}),
    )
    assert [2, 3, 4] == values(read(plan(part, sources), sources))
    grown = plan(KafkaInput(topic="bounded", start=KafkaPosition(position="Offsets", offsets={0: 6})), sources)
    assert [99] == values(read(grown, sources))
    young = KafkaInput(topic="bounded", start=KafkaPosition(position="Timestamp", timestamp=4e9))
    with pytest.raises(InputHasNoRecords, match='topic "bounded" has no record from start to end'):
        plan(young, sources)


def test_a_transaction_that_was_given_up_is_not_read(kafka: Kafka) -> None:
    kafka.create_topics("transactions")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": "inputs"})
    producer.init_transactions(60)
    for x, end in ((1, producer.commit_transaction), (2, producer.abort_transaction), (3, producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce("transactions", json.dumps({"x": x}).encode())
        producer.flush(60)
        end(60)
    sources = sources_with(kafka.bootstrap_servers)
    assert [1, 3] == values(read(plan(KafkaInput(topic="transactions"), sources), sources))


def test_a_range_that_is_not_in_the_topic_is_refused_with_what_is_there(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.create_topics("short")
    kafka.produce("short", {"x": 1})
    sources = sources_with(kafka.bootstrap_servers)

    def asked(topic: str, **offsets: dict[int, int]) -> KafkaInput:
        return KafkaInput(
            topic=topic, **{name: KafkaPosition(position="Offsets", offsets=at) for name, at in offsets.items()}
        )

    with pytest.raises(InputMissing, match='there is no topic "none"'):
        plan(KafkaInput(topic="none"), sources)
    with pytest.raises(InputUnusable, match=r"has the offsets 0 to 1, and end\.offsets says 7"):
        plan(asked("short", end={0: 7}), sources)
    with pytest.raises(InputUnusable, match="has no partition 5, only 1"):
        plan(asked("short", start={5: 0}), sources)
    monkeypatch.setattr(kafka_range, "ASK_SECONDS", 1.0)
    with pytest.raises(KafkaUnavailable, match="is not available"):
        plan(KafkaInput(topic="short"), sources_with("127.0.0.1:9"))
    with pytest.raises(InputUnusable, match="this pool knows no Kafka"):
        plan(KafkaInput(topic="short"), sources_with())
