"""Whole jobs with servers of which only a real one behaves as it does: Kafka, S3, the web behind a proxy, receivers."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificate
from documented_jobs import documented_function
from file_server import FileServer, running_file_server
from kafka import Kafka
from many_objects import OBJECTS, PREFIX, name_of
from object_store import ObjectStoreServer, running_object_store
from operated_job import Operator, operated_jobs
from waiters import wait_until
from web_proxy import WebProxy, running_proxy
from webhooks import running_receiver
from worker_jobs import Platform

from millrace_contracts.inputs import HttpInput, Input, KafkaInput, KafkaPosition, ObjectStoreInput
from millrace_contracts.ledger import Field

PLAIN, SAFE = "plain.example", "safe.example"
"""Hosts that only the proxy knows."""

COMPACTED, WITHOUT_VALUE, FRESH = 90, 3, 5
"""Offsets of the topic up to which all is compacted away, and the messages after the ten that were left."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    with running_object_store(tmp_path_factory.mktemp("store"), holds="many_objects") as server:
        yield server


@pytest.fixture(scope="module")
def files() -> Iterator[FileServer]:
    with running_file_server(knows_ranges=True) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def safe_files(folder: Path) -> Iterator[FileServer]:
    context = make_certificate(SAFE, folder).server_context()
    with running_file_server(knows_ranges=True, tls=context) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(files: FileServer, safe_files: FileServer) -> Iterator[WebProxy]:
    with running_proxy(**{PLAIN: files.port, SAFE: safe_files.port}) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def pool(
    make_platform: Callable[[Path], Platform], folder: Path, kafka: Kafka, store: ObjectStoreServer, proxy: WebProxy
) -> Iterator[Platform]:
    """A pool that knows all of these servers, and the web only by the proxy."""
    platform = make_platform(folder)
    try:
        certificate = {"SSL_CERT_FILE": str(folder / f"{SAFE}.pem")}
        platform.worker(**store.environment, **kafka.environment, **proxy.environment, **certificate)
        yield platform
    finally:
        platform.close()


@pytest.fixture
def operator(pool: Platform) -> Iterator[Operator]:
    with operated_jobs(pool) as operator:
        yield operator


def results_of(pool: Platform, source: Input, *, key_field: str = "id", records_per_task: int = 8) -> dict[str, float]:
    """Do a job whose records must all succeed, and answer the first number of each result."""
    job = pool.submit(pool.spec(key_field=key_field, records_per_task=records_per_task), source)
    job.wait_until_finalized()
    results = {key: float(result["outputs"]["y"][0]) for key, result in job.results.items()}
    assert (len(results), len(results), 0) == job.counts
    return results


def line(number: int) -> str:
    return json.dumps({"id": number, "x": [number, 0]})


@pytest.fixture(scope="module")
def compacted(kafka: Kafka) -> str:
    """A topic of which compaction left ten messages of a hundred, and then some that are too young for it."""
    topic = "compacted"
    kafka.change_broker(**{"log.cleaner.backoff.ms": "100"})
    rules = {"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.0"}
    kafka.create_topics(topic, **rules)
    long_ago, now = 1_700_000_000_000, 1_700_000_100_000
    producer = kafka.producer()
    for number in range(100):
        producer.produce(topic, key=f"k{number % 10}", value=line(number), timestamp=long_ago)
    assert 0 == producer.flush(60)
    # A message of another time closes the segment of those before it; only closed ones are compacted.
    for number in range(100, 100 + FRESH):
        producer.produce(topic, key=f"k{number}", value=line(number), timestamp=now)
    assert 0 == producer.flush(60)
    wait_until(
        lambda: len(kafka.read_all(topic)) == 10 + FRESH,
        what="the compaction",
        timeout_seconds=120,
        interval_seconds=0.5,
    )
    return topic


def test_a_job_over_a_compacted_topic_counts_what_is_still_there(pool: Platform, compacted: str) -> None:
    expected = {str(number): float(number) for number in range(COMPACTED, 100 + FRESH)}
    assert expected == results_of(pool, KafkaInput(topic=compacted))


def test_a_range_that_ends_between_what_compaction_left_reads_nothing_after_its_end(
    pool: Platform, compacted: str
) -> None:
    start, end = KafkaPosition(position="Offsets", offsets={0: 70}), KafkaPosition(position="Offsets", offsets={0: 93})
    assert {"90": 90.0, "91": 91.0, "92": 92.0} == results_of(pool, KafkaInput(topic=compacted, start=start, end=end))


def test_a_job_over_a_range_that_was_compacted_away_says_that_its_input_is_empty(
    operator: Operator, compacted: str
) -> None:
    def offset(at: int) -> dict[str, Any]:
        return {"position": "Offsets", "offsets": [{"partition": 0, "offset": at}]}

    job = operator.apply(
        model={"name": "identity"},
        input={"kafka": {"topic": compacted, "start": offset(20), "end": offset(60)}},
        batching={"recordsPerTask": 16},
    )
    job.look()
    job.known.wait_until_finalized()
    job.look_until("Failed")
    assert "InputEmpty" == job.reason("Succeeded")
    assert {"total": 0, "pending": 0} == {name: job.body["status"]["records"][name] for name in ("total", "pending")}


def test_a_prefix_of_more_objects_than_the_store_lists_at_a_time_is_read_to_its_end(pool: Platform) -> None:
    some = ObjectStoreInput(uri=PREFIX, includes=["*50.jsonl", name_of(OBJECTS - 1)])
    expected = {str(number): float(number) for number in [*range(50, OBJECTS, 100), OBJECTS - 1]}
    assert expected == results_of(pool, some)


def test_files_of_the_web_are_read_by_the_proxy_and_nothing_else_goes_that_way(
    pool: Platform, files: FileServer, safe_files: FileServer, proxy: WebProxy
) -> None:
    files.files = {"/records.jsonl": "\n".join(map(line, range(20))).encode()}
    safe_files.files = {"/records.jsonl.gz": gzip.compress("\n".join(map(line, range(20, 40))).encode())}
    urls = [f"http://{PLAIN}/records.jsonl", f"https://{SAFE}/records.jsonl.gz"]
    assert {str(number): float(number) for number in range(40)} == results_of(pool, HttpInput(urls=urls))
    assert {("GET", PLAIN), ("CONNECT", SAFE)} == proxy.asked


def test_a_host_that_the_proxy_does_not_reach_is_waited_for_and_named(pool: Platform) -> None:
    job = pool.submit(pool.spec(), HttpInput(urls=["https://nowhere.example/a.jsonl?token=hidden"]))
    said = wait_until(lambda: job.fields.get(Field.WAITING_FOR), what="the reason to wait", explain=job.explain)
    assert '"https://nowhere.example/a.jsonl" cannot be read now' in said
    assert "hidden" not in said


def test_kafka_and_a_signed_webhook_are_told_of_a_job_by_name_once(
    operator: Operator, pool: Platform, kafka: Kafka
) -> None:
    kafka.create_topics("job-events")
    (pool.secrets / "data-team").write_text("very secret\n")
    is_genuine = documented_function("is_genuine")
    with running_receiver(lambda headers, body: is_genuine(headers, body, b"very secret")) as receiver:
        job = operator.apply(
            model={"name": "identity"},
            input={"inline": {"records": [{"x": [1, 2]}, {"x": [1]}]}},
            notifications=[
                {"events": ["PartiallySucceeded"], "webhook": {"url": receiver.address, "secretName": "data-team"}},
                {"events": ["Started", "PartiallySucceeded", "Failed"], "kafka": {"topic": "job-events"}},
                {"events": ["PartiallySucceeded"], "event": {}},
                {"events": ["Failed"], "webhook": {"url": receiver.address}},
            ],
        )
        job.look()
        job.look_until("PartiallySucceeded")
        told = kafka.read("job-events", 2)
        wait_until(lambda: receiver.taken, what="the webhook", explain=pool.logs)
    name = f"{job.body['metadata']['namespace']}/{job.body['metadata']['name']}"
    assert [name.encode()] * 2 == [message.key() for message in told]
    uid = job.known.uid
    # Several workers tell, so the order is nobody's promise.
    by_id = {
        dict(message.headers() or [])["webhook-id"].decode(): json.loads(message.value() or b"") for message in told
    }
    assert {f"{uid}:{event}": event for event in ("Started", "PartiallySucceeded")} == {
        notification: body["event"] for notification, body in by_id.items()
    }
    (taken,) = receiver.taken
    assert (taken, 0) == (by_id[f"{uid}:PartiallySucceeded"], receiver.refused)
    assert {"total": 2, "succeeded": 1, "failed": 1} == {
        name: taken["records"][name] for name in ("total", "succeeded", "failed")
    }
    assert (uid, "CompletedWithFailures") == (taken["uid"], taken["reason"])
    assert ["PartiallySucceeded"] == [event.reason for event in job.events]
