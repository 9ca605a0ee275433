"""A record that ends each worker that holds it is found, set aside, and taken back by one command."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deadly_records import DEADLY
from kombu import Connection
from waiters import wait_until
from worker_jobs import Job, Platform

from millrace_contracts.ledger import Field
from millrace_contracts.queues import dead_letter_queue
from millrace_worker import topology

POISONOUS = (5, 6)
RECORDS = 12


@pytest.fixture(scope="module")
def pool(make_platform: Callable[[Path], Platform], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A pool whose worker dies of some records."""
    platform = make_platform(tmp_path_factory.mktemp("poison"))
    try:
        platform.worker(
            concurrency=1,
            MILLRACE_TASK_MODULES="deadly_records",
            PYTHONPATH=str(Path(__file__).parent.parent / "support"),
        )
        yield platform
    finally:
        platform.close()


@pytest.fixture(scope="module")
def job(pool: Platform) -> Job:
    """A job with two deadly records, at its end."""
    spec = pool.spec(key_field="id", records_per_task=RECORDS, max_batch_size=4)
    job = pool.submit(spec, [{"id": i, "x": [DEADLY if i in POISONOUS else i, 0]} for i in range(RECORDS)])
    job.wait_until_finalized(timeout_seconds=150)
    return job


def redrive(platform: Platform) -> None:
    """Send all dead letters to work again, as they are."""
    with Connection(platform.broker_url) as connection, connection.channel() as channel:
        producer = connection.Producer(channel)
        while message := channel.basic_get(dead_letter_queue(platform.queue)):
            producer.publish(
                message.body,
                exchange=topology.work_exchange(),
                routing_key=platform.queue,
                headers=message.headers,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                correlation_id=message.properties["correlation_id"],
            )
            channel.basic_ack(message.delivery_tag)


def test_exactly_the_deadly_records_fail_and_say_so(job: Job) -> None:
    errors = {key: error["error"]["code"] for key, error in job.errors.items()}
    assert errors == {str(i): "PoisonMessage" for i in POISONOUS}
    assert set(job.results) == {str(i) for i in range(RECORDS) if i not in POISONOUS}
    assert job.counts == (RECORDS, RECORDS - len(POISONOUS), len(POISONOUS))


def test_each_deadly_record_lies_in_the_dead_letter_queue(pool: Platform, job: Job) -> None:
    assert len(POISONOUS) == job.number(Field.DEAD_LETTERED)
    wait_until(lambda: pool.dead_letters() == len(POISONOUS), what="the dead letters", explain=job.explain)


def test_what_is_redriven_moves_to_the_succeeded(pool: Platform, job: Job) -> None:
    wait_until(lambda: pool.dead_letters() == len(POISONOUS), what="the dead letters", explain=job.explain)
    pool.workers[0].stop()
    pool.worker(concurrency=1)
    redrive(pool)
    wait_until(lambda: job.number(Field.FAILED) == 0, what="no failure", explain=job.explain)
    assert (RECORDS, RECORDS, 0) == job.counts
    assert 0 == job.number(Field.DEAD_LETTERED)
    outputs: dict[str, Any] = job.results[str(POISONOUS[0])]["outputs"]
    assert outputs == {"y": [DEADLY, 0.0]}
    assert job.errors == {}
