"""Records of an object store and of Kafka that end their workers come back from the dead-letter queue as themselves.

Their messages hold no record, only its place; what stands at that place is read again, past all that is no record.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from deadly_records import DEADLY
from kafka import Kafka
from object_store import ObjectStoreServer, running_object_store
from waiters import wait_until
from worker_jobs import Job, Platform, claim_output

from millrace_contracts.inputs import KafkaInput, ObjectStoreInput
from millrace_contracts.ledger import Field
from millrace_contracts.outputs import KafkaOutput
from millrace_gateway.admin import letters

GOOD = {"id": "good", "x": [1, 0]}
KILLER = {"id": "killer", "x": [DEADLY, 7]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    with running_object_store(tmp_path_factory.mktemp("store")) as server:
        server.make_bucket("lake")
        yield server


@pytest.fixture(scope="module")
def pool(make_platform: Callable[[Path], Platform], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A pool without workers yet."""
    platform = make_platform(tmp_path_factory.mktemp("poison"))
    try:
        yield platform
    finally:
        platform.close()


@pytest.fixture(scope="module")
def jobs(pool: Platform, kafka: Kafka, store: ObjectStoreServer) -> dict[str, Job]:
    """Jobs with a deadly record each, after their end."""
    text = [json.dumps(GOOD), "", "no JSON", json.dumps(KILLER), json.dumps({"id": "last", "x": [2, 0]})]
    store.put("lake", "in/records.jsonl", "\n".join(text).encode())
    kafka.create_topics("deadly-in", "deadly-out")
    kafka.produce("deadly-in", GOOD, None, KILLER, {"id": "last", "x": [2, 0]})
    of_store = pool.spec(output=claim_output(), key_field="id")
    of_kafka = pool.spec(output=KafkaOutput(topic="deadly-out"), key_field="id")
    servers = {**store.environment, **kafka.environment}
    deadly = {"MILLRACE_TASK_MODULES": "deadly_records", "PYTHONPATH": str(Path(__file__).parents[1] / "support")}
    worker = pool.worker(**servers, **deadly)
    made = {
        "store": pool.submit(of_store, ObjectStoreInput(uri="s3://lake/in/records.jsonl")),
        "kafka": pool.submit(of_kafka, KafkaInput(topic="deadly-in")),
    }
    for job in made.values():
        job.wait_until_finalized(timeout_seconds=150)
    wait_until(lambda: pool.dead_letters() == len(made), what="the dead letters", explain=pool.logs)
    worker.kill()
    pool.worker(**servers)
    return made


@pytest.fixture(scope="module")
def failures(jobs: dict[str, Job]) -> dict[str, tuple[int, int, int]]:
    """The counts of the jobs before their records were sent to work again, and that they were."""
    counts = {name: job.counts for name, job in jobs.items()}
    pool = next(iter(jobs.values())).platform

    async def redrive() -> int:
        async with await aio_pika.connect(pool.broker_url) as connection:
            sifted = await letters.redrive(connection, pool.queue, limit=100, task_id=None)
            return sifted.taken if sifted is not None else 0

    assert len(jobs) == asyncio.run(redrive())
    return counts


def wait_until_redriven(job: Job) -> None:
    wait_until(
        lambda: job.fields.get(Field.MANIFEST_REDRIVEN) == "1",
        what="the manifest with the record that was redriven",
        explain=job.explain,
    )


def test_a_deadly_record_of_an_object_store_is_redriven_into_a_file_of_its_own(
    pool: Platform, jobs: dict[str, Job], failures: dict[str, tuple[int, int, int]]
) -> None:
    job, out = jobs["store"], pool.claim / "out"
    wait_until_redriven(job)
    assert [(4, 2, 2), (4, 3, 1)] == [failures["store"], job.counts]
    manifest = json.loads((out / "manifest.json").read_text())
    assert {"total": 4, "succeeded": 3, "failed": 1, "cached": 0} == manifest["records"]
    (name,) = [part["name"] for part in manifest["parts"] if part["name"].startswith("redriven/")]
    # It is the third record of the task, in the fourth line: the second line holds none.
    assert "redriven/part-00000-00002.jsonl" == name
    assert {"key": "killer", "line": 4, "outputs": {"y": [DEADLY, 7.0]}} == json.loads((out / name).read_text())


def test_a_deadly_record_of_kafka_is_redriven_to_the_place_that_it_had(
    kafka: Kafka, jobs: dict[str, Job], failures: dict[str, tuple[int, int, int]]
) -> None:
    job = jobs["kafka"]
    wait_until_redriven(job)
    assert [(4, 2, 2), (4, 3, 1)] == [failures["kafka"], job.counts]
    told = [message for message in kafka.read_all("deadly-out") if message.key() == b"killer"]
    headers: list[dict[str, Any]] = [dict(message.headers() or []) for message in told]
    assert [b"failed", b"succeeded"] == [each["millrace-outcome"] for each in headers]
    assert [b"2", b"2"] == [each["millrace-offset"] for each in headers]
    result = json.loads(told[-1].value() or b"")
    assert {"key": "killer", "line": 3, "outputs": {"y": [DEADLY, 7.0]}} == result
