"""The job ledger on a real Redis: whatever happens to tasks, each record is counted once."""

from collections.abc import Iterator

import pytest
from ledger_tasks import RECORDS_PER_SHARD, Tasks, running_redis
from redis import Redis

from millrace_contracts import ledger
from millrace_contracts.errors import JobFailure, RecordError
from millrace_contracts.inputs import FileRef, FileShard, InlineShard, Shard
from millrace_contracts.ledger import BeginShard
from millrace_contracts.results import Part
from millrace_contracts.shard_index import Extent, pack
from millrace_worker.job_index import JobIndex, Size
from millrace_worker.ledger import MAX_STARTS, Feed

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_redis() as number:
        yield number


@pytest.fixture
def redis(port: int) -> Iterator[Redis]:
    with Redis(host="127.0.0.1", port=port, decode_responses=True) as client:
        client.flushall()
        yield client


def test_a_shard_that_is_delivered_twice_counts_once(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.begin(0)
    assert (True, False) == (tasks.finish(0).counts, tasks.finish(0).counts)
    assert ["10", "1", "0"] == tasks.read("succeeded", "shards_done", "in_flight")


def test_a_shard_that_was_counted_is_not_run_again(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.finish(0)
    assert BeginShard.DONE == tasks.begin(0)


def test_the_last_shard_alone_is_told_that_it_was_the_last(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    for shard in range(3):
        tasks.begin(shard)
    assert [False, False, True, False] == [tasks.finish(shard).was_last for shard in (2, 0, 1, 1)]


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
    assert (True, False) == tuple(tasks.finish(0, failed=RECORDS_PER_SHARD).counts for _ in range(2))
    assert ["10", "0"] == tasks.read("failed", "in_flight")


def test_a_shard_that_is_given_back_never_becomes_poison_and_suspects_nobody(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    redis.hset(ledger.suspects_key("job-1"), "0", "[7]")
    for _ in range(MAX_STARTS * 3):
        assert BeginShard.RUN == tasks.begin(0)
        tasks.release(0)
    assert ["0", "Triton is away"] == tasks.read("in_flight", "waiting_for")
    assert not redis.exists(ledger.suspects_key("job-1"))


def test_a_stopped_job_runs_no_shard_and_keeps_the_first_reason(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    assert (True, False) == (tasks.stop(JobFailure.MODEL_NOT_FOUND), tasks.stop(JobFailure.DEADLINE_EXCEEDED))
    assert (BeginShard.STOPPED, ["ModelNotFound"]) == (tasks.begin(0), tasks.read("stop_reason"))
    assert (None, []) == (tasks.begin_dispatch(), tasks.give_out())


def test_a_finished_job_cannot_be_stopped_suspended_or_sent_anew(redis: Redis) -> None:
    tasks = Tasks(redis, shards=1).dispatched()
    tasks.begin(0)
    tasks.finish(0)
    assert (True, False, False) == (tasks.finalize(), tasks.finalize(), tasks.stop())
    assert (0, -1) == (tasks.suspend(), tasks.dispatch_anew())


def test_tasks_of_a_job_that_is_gone_do_nothing_and_leave_nothing(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    redis.flushall()
    assert BeginShard.STOPPED == tasks.begin(1)
    assert (False, False, False) == (tasks.finish(0).counts, tasks.finalize(), tasks.stop())
    assert (None, [], 0, -1) == (tasks.begin_dispatch(), tasks.give_out(), tasks.suspend(), tasks.dispatch_anew())
    tasks.release(0)
    tasks.end_dispatch()
    JobIndex(redis).write("job-1", pack([Extent(0, 1, 1, 0, 9)]), files=[FileRef(uri="claim:a/b")])
    assert [] == redis.keys("*")


def test_a_job_has_no_more_shards_out_than_its_window_and_each_brings_the_next(redis: Redis) -> None:
    tasks = Tasks(redis, shards=4, window=2)
    tasks.submit()
    tasks.begin_dispatch()
    assert [0, 1] == tasks.give_out()
    tasks.end_dispatch()
    assert [2, 3, None] == [tasks.finish(shard).next_shard for shard in (1, 0, 2)]


def test_who_is_delivered_again_finds_what_it_has_still_to_publish(redis: Redis) -> None:
    tasks = Tasks(redis, shards=4, window=2)
    tasks.submit()
    tasks.begin_dispatch()
    assert [[0, 1], [0, 1]] == [tasks.give_out(), tasks.give_out()]
    tasks.end_dispatch()
    assert [] == tasks.give_out()
    tasks.finish(1)
    assert Feed(epoch=0, shards=[2]) == tasks.ledger.feed("job-1", 1)
    tasks.ledger.fed("job-1", 1)
    assert tasks.ledger.feed("job-1", 1) is None


def test_a_suspended_job_finishes_what_runs_and_begins_nothing(redis: Redis) -> None:
    tasks = Tasks(redis, shards=4, window=2).dispatched()
    tasks.begin(0)
    tasks.suspend()
    assert BeginShard.SUSPENDED == tasks.begin(1)
    assert (True, None) == (tasks.finish(0).counts, tasks.finish(0).next_shard)
    assert (None, []) == (tasks.begin_dispatch(), tasks.give_out())


def test_a_shard_whose_worker_died_counts_as_pending_while_its_job_is_suspended(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.begin(0)
    tasks.suspend()
    tasks.begin(0)
    assert ["0"] == tasks.read("in_flight")


def test_a_resumed_job_publishes_what_is_not_done_and_forgets_what_was_out(redis: Redis) -> None:
    tasks = Tasks(redis, shards=4, window=2).dispatched()
    tasks.finish(0)
    tasks.suspend()
    assert 1 == tasks.dispatch_anew()
    assert BeginShard.STALE == tasks.begin(1)
    assert 1 == tasks.begin_dispatch()
    assert ([], [1, 2]) == (tasks.give_out(epoch=0), tasks.give_out(epoch=1))
    tasks.end_dispatch(epoch=0)
    assert ["dispatching"] == tasks.read("state")
    tasks.end_dispatch(epoch=1)
    assert (BeginShard.RUN, 3, 1) == (tasks.begin(1, epoch=1), *tasks.finish(1)[2:])


def test_a_plan_after_a_resume_is_not_given_what_an_unfinished_plan_before_was_given(redis: Redis) -> None:
    tasks = Tasks(redis, shards=4, window=2)
    tasks.submit()
    tasks.begin_dispatch()
    tasks.give_out()
    for shard in (0, 1):
        tasks.finish(shard)
    tasks.dispatch_anew()
    tasks.begin_dispatch()
    assert [2, 3] == tasks.give_out(epoch=1)


def test_a_shard_that_runs_since_before_a_resume_brings_the_next_only_if_it_was_given_out_again(redis: Redis) -> None:
    tasks = Tasks(redis, shards=6, window=2).dispatched()
    tasks.dispatch_anew()
    assert tasks.finish(1).next_shard is None
    tasks.begin_dispatch()
    assert [0, 2] == tasks.give_out(epoch=1)
    assert 3 == tasks.finish(0).next_shard


def test_a_ledger_that_is_made_anew_forgets_the_messages_of_the_lost_one(redis: Redis) -> None:
    tasks = Tasks(redis)
    tasks.submit(epoch=1_000)
    assert (1_000, BeginShard.STALE) == (tasks.begin_dispatch(), tasks.begin(0, epoch=7))


@pytest.mark.parametrize(
    ("budget", "failed", "message"),
    [
        ({"max_failed_records": 3}, 4, "4 records failed, and failurePolicy.maxFailedRecords is 3"),
        (
            {"max_failed_percent": 30, "min_records": 10},
            4,
            "4 of 10 records failed, and failurePolicy.maxFailedPercent is 30",
        ),
    ],
)
def test_a_failure_budget_that_is_exceeded_stops_the_job(
    redis: Redis, budget: dict[str, int], failed: int, message: str
) -> None:
    tasks = Tasks(redis).dispatched(**budget)
    tasks.finish(0, failed=failed)
    assert ["FailureBudgetExceeded", message] == tasks.read("stop_reason", "stop_message")


def test_a_shard_that_was_at_work_while_its_ledger_was_lost_does_not_count_in_the_new_one(redis: Redis) -> None:
    tasks = Tasks(redis)
    tasks.submit(epoch=1_000)
    tasks.begin_dispatch()
    assert not tasks.finish(0, epoch=7).counts
    assert tasks.finish(0, epoch=1_000).counts


@pytest.mark.parametrize("budget", [{"max_failed_records": 4}, {"max_failed_percent": 39, "min_records": 11}, {}])
def test_a_failure_budget_that_is_kept_stops_nothing(redis: Redis, budget: dict[str, int]) -> None:
    tasks = Tasks(redis).dispatched(**budget)
    tasks.finish(0, failed=4)
    assert [None] == tasks.read("stop_reason")


def test_ignored_records_are_left_out_of_the_budget(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched(max_failed_records=3)
    tasks.finish(0, failed=4, ignored=1)
    assert [None, "4", "1"] == tasks.read("stop_reason", "failed", "ignored")


def test_a_shard_with_fewer_records_than_planned_makes_the_total_smaller(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.finish(0, succeeded=6)
    assert ["26", "6"] == tasks.read("total", "succeeded")


def test_a_record_that_was_redriven_twice_moves_once(redis: Redis) -> None:
    tasks = Tasks(redis).dispatched()
    tasks.finish(0, failed=3, dead_lettered=2)
    redis.hset(ledger.poison_key("job-1"), "0", "[4, 8]")
    code, part = RecordError.INVALID_RECORD, Part(name="redriven/part", records=1)
    moved = [tasks.ledger.redriven("job-1", 0, code=code, succeeded=[4, 5], parts=[part]) for _ in range(2)]
    assert [1, 0] == moved
    assert ["8", "2", "1"] == tasks.read("succeeded", "failed", "dead_lettered")
    assert {0: [part]} == tasks.ledger.parts("job-1")
    assert 1 == tasks.ledger.redriven("job-1", 0, code=code, succeeded=[], failed=[8])
    assert ["8", "2", "0"] == tasks.read("succeeded", "failed", "dead_lettered")
    assert not redis.exists(ledger.poison_key("job-1"))


def test_a_manifest_that_does_not_know_the_redriven_records_is_written_anew(redis: Redis) -> None:
    tasks = Tasks(redis, shards=1).dispatched()
    tasks.finish(0, failed=1, dead_lettered=1)
    tasks.finalize()
    redis.hset(ledger.poison_key("job-1"), "0", "[4]")
    tasks.ledger.redriven("job-1", 0, code=RecordError.INVALID_RECORD, succeeded=[4])
    assert tasks.ledger.needs_finalize("job-1")
    tasks.ledger.finalized("job-1", manifest_uri="manifest", redriven=1)
    assert not tasks.ledger.needs_finalize("job-1")


def test_the_first_index_that_is_whole_stands(redis: Redis) -> None:
    Tasks(redis).submit()
    index = JobIndex(redis)
    extents = [Extent(1, 10, 1, 0, 90), Extent(0, 7, 11, 90, 50)]
    files = [FileRef(uri="claim:data/a"), FileRef(uri="claim:data/b", size_bytes=140)]
    assert Size(shards=2, records=17) == index.write("job-1", pack(extents), files=files)
    assert Size(shards=2, records=17) == index.write("job-1", pack(extents[:1]), files=files[:1])
    source = FileShard(file=files[1], offset=0, length=90)
    assert Shard(index=0, first_line=1, record_count=10, source=source) == index.shard("job-1", 0)
    assert index.shard("job-1", 2) is None
    assert {ledger.index_key("job-1"), ledger.files_key("job-1")} == set(redis.keys("*{job-1}:[if]*"))
    assert [-1, -1] == [redis.ttl(ledger.index_key("job-1")), redis.ttl(ledger.files_key("job-1"))]


def test_the_records_of_an_inline_shard_lie_with_the_index(redis: Redis) -> None:
    Tasks(redis).submit()
    index = JobIndex(redis)
    extents = [Extent(0, 2, 1, 0, 2), Extent(1, 1, 3, 2, 1)]
    assert Size(shards=2, records=3) == index.write("job-1", pack(extents), inline=['[{"x":1},{}]', '[{"x":2}]'])
    last = Shard(index=1, first_line=3, record_count=1, source=InlineShard(records=[{"x": 2}]))
    assert (last, [last]) == (index.shard("job-1", 1), list(index.shards("job-1", [1])))


def test_what_is_not_done_is_told_by_the_bitmap(redis: Redis) -> None:
    tasks = Tasks(redis, shards=20).dispatched()
    for shard in (0, 7, 9, 19):
        tasks.finish(shard)
    assert sorted(set(range(20)) - {0, 7, 9, 19}) == tasks.ledger.undone("job-1", 20)
