"""The job ledger on a real Redis: whatever happens to tasks, each record is counted once."""

# ruff: noqa: D102 - the methods of Tasks are named after the scripts, which the contract documents

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError
from waiters import wait_until

from millrace_contracts import ledger
from millrace_contracts.errors import JobFailure
from millrace_contracts.ledger import BeginShard
from millrace_contracts.results import errors_key, results_key
from millrace_operator.jobs.counts import count_records
from millrace_operator.jobs.ledger import LedgerStore, LedgerUnreachable
from millrace_operator.jobs.readings import FailedRecords, LedgerMissing, LedgerReading, LedgerUnknown

pytestmark = pytest.mark.integration

IMAGE = "millrace/redis:8"
RECORDS_PER_SHARD = 10
MAX_STARTS = 3
Answer = TypeVar("Answer")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Start a Redis of our own and return its port on 127.0.0.1."""
    name = f"millrace-test-ledger-{uuid4().hex[:8]}"
    docker(
        *("run", "--detach", "--rm", "--name", name, "--label", "millrace.dev/test=1"),
        *("--publish", "127.0.0.1::6379", IMAGE, "redis-server", "--protected-mode", "no", "--save", ""),
    )
    try:
        number = int(docker("port", name, "6379/tcp").splitlines()[0].rpartition(":")[2])
        with Redis(host="127.0.0.1", port=number) as client:
            wait_until(lambda: answers(client), what="Redis to answer", timeout_seconds=30)
        yield number
    finally:
        docker("rm", "--force", name)


@pytest.fixture
def redis(port: int) -> Iterator[Redis]:
    with Redis(host="127.0.0.1", port=port, decode_responses=True) as client:
        client.flushall()
        yield client


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


class Tasks:
    """What workers do to the ledger of one job, by the contract's scripts alone."""

    def __init__(self, client: Redis, *, shards: int = 3, uid: str = "job-1") -> None:
        self.client, self.uid, self.shards = client, uid, shards
        self.job, self.done, self.in_flight, self.starts, self.failures = ledger.ledger_keys(uid)

    def submit(self) -> int:
        return self.run(ledger.SUBMIT, [self.job, ledger.JOBS_KEY], [self.uid, "ns", "name", "1.0"])

    def begin_dispatch(self) -> int:
        return self.run(ledger.BEGIN_DISPATCH, [self.job], [self.shards * RECORDS_PER_SHARD, self.shards, "uri", "2.0"])

    def end_dispatch(self) -> int:
        return self.run(ledger.END_DISPATCH, [self.job], [])

    def begin(self, shard: int) -> str:
        keys = [self.job, self.done, self.in_flight, self.starts]
        return self.run(ledger.BEGIN_SHARD, keys, [shard, RECORDS_PER_SHARD, "3.0", MAX_STARTS])

    def release(self, shard: int, waiting_for: str = "Triton is away") -> int:
        return self.run(ledger.RELEASE_SHARD, [self.job, self.in_flight, self.starts], [shard, waiting_for])

    def finish(self, shard: int, *, failed: int = 0) -> int:
        failures = {"InvalidRecord": {"count": failed, "message": "wrong shape", "key": f"k{shard}"}} if failed else {}
        return self.run(
            ledger.FINISH_SHARD,
            list(ledger.ledger_keys(self.uid)),
            [shard, RECORDS_PER_SHARD - failed, failed, 0, "4.0", "1", json.dumps(failures)],
        )

    def finalize(self) -> int:
        return self.run(ledger.FINALIZED, [self.job], ["manifest", "5.0"])

    def stop(self, reason: str = "Cancelled") -> int:
        return self.run(ledger.STOP, [self.job], [reason, "because"])

    def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        return self.client.eval(script, len(keys), *keys, *arguments)

    def dispatched(self) -> "Tasks":
        """Bring the job to where all of its shards wait in the queue."""
        self.submit()
        self.begin_dispatch()
        self.end_dispatch()
        return self


def with_store(port: int, use: Callable[[LedgerStore], Awaitable[Answer]]) -> Answer:
    """Use the operator's store on a connection of its own."""

    async def connected() -> Answer:
        async with AsyncRedis(host="127.0.0.1", port=port, decode_responses=True) as client:
            return await use(LedgerStore(client))

    return asyncio.run(connected())


def read(port: int, uid: str = "job-1") -> LedgerReading:
    reading = with_store(port, lambda store: store.read_all([uid]))[uid]
    assert isinstance(reading, LedgerReading)
    return reading


def test_a_shard_that_is_delivered_twice_counts_once(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.begin(0)
    assert (1, 0) == (tasks.finish(0), tasks.finish(0))
    assert ("10", "1", "0") == tuple(redis.hmget(tasks.job, "succeeded", "shards_done", "in_flight"))


def test_a_shard_that_was_counted_is_not_run_again(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.finish(0)
    assert BeginShard.DONE == tasks.begin(0)


def test_the_last_shard_alone_is_told_that_it_was_the_last(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    for shard in range(3):
        tasks.begin(shard)
    assert [1, 1, 2, 0] == [tasks.finish(shard) for shard in (2, 0, 1, 1)]


def test_a_redelivered_last_shard_asks_for_the_manifest_again_until_it_is_written(redis: Redis) -> None:
    tasks = Tasks(redis, shards=1).dispatched()
    tasks.begin(0)
    tasks.finish(0)
    assert BeginShard.DONE_ALL == tasks.begin(0)
    tasks.finalize()
    assert BeginShard.DONE == tasks.begin(0)


def test_a_shard_that_was_begun_too_often_is_poison_and_still_counts_once(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    assert [BeginShard.RUN] * MAX_STARTS + [BeginShard.POISON] == [tasks.begin(0) for _ in range(MAX_STARTS + 1)]
    assert (1, 0) == (tasks.finish(0, failed=RECORDS_PER_SHARD), tasks.finish(0, failed=RECORDS_PER_SHARD))
    assert ("10", "0") == tuple(redis.hmget(tasks.job, "failed", "in_flight"))


def test_a_shard_that_is_given_back_never_becomes_poison(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    for _ in range(MAX_STARTS * 3):
        assert BeginShard.RUN == tasks.begin(0)
        tasks.release(0)
    assert ("0", "Triton is away") == tuple(redis.hmget(tasks.job, "in_flight", "waiting_for"))


def test_a_stopped_job_runs_no_shard_and_keeps_the_first_reason(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    assert (1, 0) == (tasks.stop("ModelNotFound"), tasks.stop("DeadlineExceeded"))
    assert (BeginShard.STOPPED, "ModelNotFound") == (tasks.begin(0), redis.hget(tasks.job, "stop_reason"))
    assert 0 == tasks.begin_dispatch()


def test_a_finished_job_cannot_be_stopped(redis: Redis) -> None:
    tasks = Tasks(redis, shards=1).dispatched()
    tasks.begin(0)
    tasks.finish(0)
    assert (1, 0, 0) == (tasks.finalize(), tasks.finalize(), tasks.stop())


def test_tasks_of_a_job_that_is_gone_do_nothing_and_leave_nothing(redis: Redis, port: int) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    with_store(port, lambda store: store.delete("job-1", results_ttl_seconds=None))
    assert BeginShard.STOPPED == tasks.begin(1)
    assert [0, 0, 0, 0, 0] == [
        tasks.finish(0),
        tasks.release(0),
        tasks.finalize(),
        tasks.stop(),
        tasks.begin_dispatch(),
    ]
    assert [] == redis.keys("*")


class AnyInterleaving(RuleBasedStateMachine):
    """Workers begin, finish, give back and die in any order; redelivery is just another begin."""

    client: Redis
    shards = Bundle("shards")

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.tasks = Tasks(self.client)
        self.failed_of: dict[int, int] = {}
        self.begun: set[int] = set()
        self.times_last = 0
        self.is_stopped = False

    @initialize()
    def dispatch(self) -> None:
        self.tasks.dispatched()

    @rule(shard=st.integers(0, 2))
    def begin(self, shard: int) -> None:
        answer = self.tasks.begin(shard)
        if shard in self.failed_of:
            assert answer in {BeginShard.DONE, BeginShard.DONE_ALL}
            return
        if self.is_stopped:
            assert BeginShard.STOPPED == answer
            return
        assert answer in {BeginShard.RUN, BeginShard.POISON}
        self.begun.add(shard)

    @rule(shard=st.integers(0, 2), failed=st.integers(0, RECORDS_PER_SHARD))
    def finish(self, shard: int, failed: int) -> None:
        answer = self.tasks.finish(shard, failed=failed)
        assert (shard in self.failed_of) == (answer == 0)
        self.times_last += answer == 2
        self.failed_of.setdefault(shard, failed)
        self.begun.discard(shard)

    @rule(shard=st.integers(0, 2))
    def release(self, shard: int) -> None:
        self.tasks.release(shard)
        self.begun.discard(shard)

    @rule()
    def dispatch_again(self) -> None:
        self.tasks.begin_dispatch()
        self.tasks.end_dispatch()

    @rule()
    def stop(self) -> None:
        self.is_stopped = bool(self.tasks.stop()) or self.is_stopped

    @invariant()
    def each_record_is_counted_once(self) -> None:
        names = ("total", "succeeded", "failed", "in_flight", "shards_done")
        total, succeeded, failed, in_flight, done = (
            int(value or 0) for value in self.client.hmget(self.tasks.job, *names)
        )
        assert len(self.failed_of) == done
        assert sum(self.failed_of.values()) == failed
        assert len(self.failed_of) * RECORDS_PER_SHARD == succeeded + failed
        assert len(self.begun) * RECORDS_PER_SHARD == in_flight
        reading = LedgerReading(
            state="dispatched", total=total, succeeded=succeeded, failed=failed, in_flight=in_flight
        )
        counts = count_records(reading, inline_count=None, has_ended=False)
        assert counts.pending >= 0
        assert total == counts.succeeded + counts.failed + counts.pending + counts.in_flight

    @invariant()
    def the_last_shard_is_announced_exactly_once(self) -> None:
        assert (len(self.failed_of) == 3) == (self.times_last == 1)


def test_any_interleaving_of_workers_counts_each_record_once(redis: Redis) -> None:
    machine = type("AnyInterleavingHere", (AnyInterleaving,), {"client": redis})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_the_operator_reads_what_workers_wrote(redis: Redis, port: int) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.begin(1)
    tasks.finish(0, failed=2)
    assert LedgerReading(
        state="dispatched",
        submitted_at=1.0,
        total=30,
        shards_total=3,
        shards_done=1,
        succeeded=8,
        failed=2,
        in_flight=10,
        first_shard_at=3.0,
        last_progress_at=4.0,
        output_uri="uri",
        model_version="1",
        failures=(FailedRecords(code="InvalidRecord", message="wrong shape", count=2, sample_key="k0"),),
    ) == read(port)


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
            await store.note_plan_published(uid, now=7.0)

    with_store(port, note)
    assert (2, 7.0) == (read(port).plan_publications, read(port).plan_published_at)
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
