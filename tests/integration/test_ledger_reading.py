"""The operator's side of the job ledger, on a real Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from ledger_tasks import Tasks, running_redis
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from millrace_contracts import ledger
from millrace_contracts.errors import JobFailure
from millrace_contracts.results import errors_key, results_key
from millrace_operator.jobs.ledger import LedgerStore, LedgerUnreachable
from millrace_operator.jobs.readings import FailedRecords, LedgerMissing, LedgerReading, LedgerUnknown

pytestmark = pytest.mark.integration

Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_redis() as number:
        yield number


@pytest.fixture
def redis(port: int) -> Iterator[Redis]:
    with Redis(host="127.0.0.1", port=port, decode_responses=True) as client:
        client.flushall()
        yield client


def with_store(port: int, use: Callable[[LedgerStore], Awaitable[Answer]]) -> Answer:
    """Use the operator's store on a connection of its own."""

    async def connected() -> Answer:
        at_once = Retry(NoBackoff(), 0)
        async with AsyncRedis(host="127.0.0.1", port=port, decode_responses=True, retry=at_once) as client:
            return await use(LedgerStore(client))

    return asyncio.run(connected())


def read(port: int, uid: str = "job-1") -> LedgerReading:
    reading = with_store(port, lambda store: store.read_all([uid]))[uid]
    assert isinstance(reading, LedgerReading)
    return reading


def test_the_operator_reads_what_workers_wrote(redis: Redis, port: int) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.begin(1)
    tasks.finish(0, failed=2)
    reading = read(port)
    assert (
        LedgerReading(
            state="dispatched",
            submitted_at=1.0,
            total=30,
            shards_total=3,
            shards_done=1,
            shards_dispatched=reading.shards_dispatched,
            shards_active=1,
            done_bits=b"\x80",
            succeeded=8,
            failed=2,
            in_flight=10,
            first_shard_at=reading.first_shard_at,
            last_progress_at=reading.last_progress_at,
            output_uri="uri",
            model_version="1",
            failures=(FailedRecords(code="InvalidRecord", message="wrong shape", count=2, sample_key="k0"),),
        )
        == reading
    )


def test_a_job_is_suspended_and_dispatched_anew_with_a_note_of_why(redis: Redis, port: int) -> None:
    Tasks(redis).dispatched()
    with_store(port, lambda store: store.suspend("job-1"))
    assert read(port).is_suspended
    assert with_store(port, lambda store: store.dispatch_anew("job-1", note={"resumed_at": "7.5", "attempt": 2}))
    again = read(port)
    assert (False, 1, 0, 7.5, 2) == (
        again.is_suspended,
        again.epoch,
        again.shards_dispatched,
        again.resumed_at,
        again.attempt,
    )


def test_a_job_that_is_gone_or_stopped_is_not_dispatched_anew(redis: Redis, port: int) -> None:
    Tasks(redis).dispatched()
    with_store(port, lambda store: store.stop("job-1", reason=JobFailure.CANCELLED, message="Gone."))
    for uid in ("job-1", "gone"):
        assert not with_store(port, lambda store, uid=uid: store.dispatch_anew(uid, note={"attempt": 2}))
    assert not redis.exists(ledger.job_key("gone"))


def test_a_ledger_that_is_made_again_makes_what_was_out_before_stale(redis: Redis, port: int) -> None:
    async def submit(store: LedgerStore) -> None:
        await store.submit(uid="job-1", namespace="ns", name="name", now=1234.5, attempt=2)

    with_store(port, submit)
    assert redis.exists(ledger.job_key("job-1"))
    assert (1234, 2) == (read(port).epoch, read(port).attempt)


def test_what_was_told_is_remembered(redis: Redis, port: int) -> None:
    Tasks(redis).submit()
    with_store(port, lambda store: store.note_notified("job-1", "Started:0", now=1.0))
    assert frozenset({"Started:0"}) == read(port).notified


def test_many_jobs_are_read_at_once_and_those_without_a_ledger_are_missing(redis: Redis, port: int) -> None:
    for number in range(50):
        Tasks(redis, uid=f"job-{number}").submit()
    reads_before = redis.info("stats")["total_reads_processed"]
    readings = with_store(port, lambda store: store.read_all([f"job-{number}" for number in range(51)]))
    # Opening the connection and asking for the statistics take a few reads; one round trip per job would take 51 more.
    assert redis.info("stats")["total_reads_processed"] - reads_before < 10
    assert 50 == sum(isinstance(reading, LedgerReading) for reading in readings.values())
    assert LedgerMissing() == readings["job-50"]


def test_a_redis_that_does_not_answer_is_unknown_and_not_missing() -> None:
    async def ask(store: LedgerStore) -> Any:
        with pytest.raises(LedgerUnreachable, match="Redis, which holds the job ledger, does not answer"):
            await store.submit(uid="job-1", namespace="ns", name="name", now=1.0)
        return await store.read_all(["job-1"])

    reading = with_store(1, ask)["job-1"]  # nothing listens on port 1
    assert isinstance(reading, LedgerUnknown)
    assert "does not answer" in reading.message


def test_submitting_twice_changes_nothing(port: int, redis: Redis) -> None:
    async def submit_twice(store: LedgerStore) -> dict[str, tuple[str, str]]:
        for now in (1.0, 2.0):
            await store.submit(uid="job-1", namespace="ns", name="name", now=now)
        return await store.list_jobs()

    assert {"job-1": ("ns", "name")} == with_store(port, submit_twice)
    assert "1.0" == redis.hget(ledger.job_key("job-1"), "submitted_at")


def test_publications_of_a_plan_are_counted_only_while_the_job_is_there(port: int, redis: Redis) -> None:
    Tasks(redis).submit()

    async def note(store: LedgerStore) -> None:
        for uid in ("job-1", "job-1", "gone"):
            await store.note_plan_published(uid, now=7.0, share="priority=4")

    with_store(port, note)
    assert (2, 7.0, "priority=4") == (
        read(port).plan_publications,
        read(port).plan_published_at,
        read(port).planned_as,
    )
    assert not redis.exists(ledger.job_key("gone"))


def test_stopping_keeps_the_reason_and_its_sentence(port: int, redis: Redis) -> None:
    Tasks(redis).dispatched()
    with_store(port, lambda store: store.stop("job-1", reason=JobFailure.DEADLINE_EXCEEDED, message="Too long."))
    assert ("DeadlineExceeded", "Too long.") == (read(port).stop_reason, read(port).stop_message)


def test_deleting_a_job_leaves_its_results_their_time_to_live_and_gives_one_to_those_without(
    port: int, redis: Redis
) -> None:
    Tasks(redis).dispatched()
    redis.hset(results_key("job-1"), "k", "{}")
    redis.expire(results_key("job-1"), 5000)
    redis.hset(errors_key("job-1"), "k", "{}")
    with_store(port, lambda store: store.delete("job-1", results_ttl_seconds=100))
    assert {results_key("job-1"), errors_key("job-1")} == set(redis.keys("*"))
    assert (True, True) == (4900 < redis.ttl(results_key("job-1")) <= 5000, 0 < redis.ttl(errors_key("job-1")) <= 100)


def test_a_job_is_dispatched_anew_also_where_there_is_nothing_to_note(redis: Redis, port: int) -> None:
    Tasks(redis).dispatched()
    assert with_store(port, lambda store: store.dispatch_anew("job-1", note={}))
    assert 1 == read(port).epoch


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"output_uri": "pvc://data/out"}, "pvc://data/out"),
        ({"output_uri": "redis:millrace:{job-1}:results"}, None),
        ({"output_uri": "s3://data/out", "state": "finalized"}, None),
    ],
)
def test_who_deletes_a_ledger_is_told_what_is_left_beside_the_results(
    redis: Redis, port: int, fields: dict[str, str], left: str | None
) -> None:
    tasks = Tasks(redis).dispatched()
    redis.hset(tasks.job, mapping=fields)
    task = with_store(port, lambda store: store.delete("job-1", results_ttl_seconds=None))
    assert left == (task.output_uri if task else None)
    assert task is None or ("ns", "name", "job-1") == (task.job.namespace, task.job.name, task.job.uid)


def test_that_a_job_is_tidied_is_remembered(redis: Redis, port: int) -> None:
    Tasks(redis).dispatched()
    assert not read(port).is_tidied
    with_store(port, lambda store: store.note_tidied("job-1", now=5.0))
    assert read(port).is_tidied
