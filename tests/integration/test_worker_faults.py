"""Whatever becomes of a worker or of its messages, each record is predicted and counted once."""

import os
import signal
from pathlib import Path

from deadly_steps import MOMENTS
from slow_jobs import SHARDS, assert_file_is_whole, assert_whole, job_of_a_file, slow_job
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts import ledger
from millrace_contracts.inputs import InlineShard, Shard
from millrace_contracts.ledger import Field
from millrace_contracts.tasks import FINALIZE, PREDICT_SHARD, FinalizeTask, ShardTask

SHARD_DONE = '"event": "shard done"'


def test_a_shard_that_is_delivered_twice_counts_once(platform: Platform) -> None:
    platform.worker()
    spec = platform.spec(key_field="id", records_per_task=2)
    values = [{"id": i, "x": [i, 0]} for i in range(4)]
    job = platform.submit(spec, values)
    job.wait_until_finalized()
    shard = Shard(index=1, first_line=3, record_count=2, source=InlineShard(records=values[2:]))
    payload = {"payload": ShardTask(spec=spec, shard=shard).model_dump(mode="json")}
    platform.publish(PREDICT_SHARD, payload, f"{job.uid}:shard:1")
    platform.publish(FINALIZE, {"payload": FinalizeTask(spec=spec).model_dump(mode="json")}, f"{job.uid}:finalize")
    for answer in ("shard not needed", "finalize not needed"):
        platform.workers[0].wait_for_log(answer)
    assert job.counts == (4, 4, 0)


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(platform: Platform) -> None:
    first = platform.worker()
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    first.kill()
    platform.worker()
    job.wait_until_finalized()
    assert_whole(job)


def test_a_task_process_that_is_killed_loses_nothing(platform: Platform) -> None:
    worker = platform.worker()
    job = slow_job(platform)
    job.wait_for(Field.IN_FLIGHT, at_least=4)
    for pid in worker.children():
        os.kill(pid, signal.SIGKILL)
    job.wait_until_finalized()
    assert_whole(job)
    assert worker.is_running()


def test_a_process_that_is_killed_at_each_step_of_publishing_breaks_no_chain(platform: Platform) -> None:
    steps = platform.folder / "steps"
    steps.mkdir()
    support = str(Path(__file__).parents[1] / "support")
    platform.worker(PYTHONPATH=support, MILLRACE_TASK_MODULES="deadly_steps", DEADLY_STEPS_FOLDER=str(steps))
    job = job_of_a_file(platform, window=1)
    job.wait_until_finalized(timeout_seconds=150)
    assert_file_is_whole(job)
    assert {moment.name for moment in steps.iterdir()} == MOMENTS


def test_a_suspended_job_rests_and_a_resumed_one_does_the_rest_within_its_window(platform: Platform) -> None:
    worker = platform.worker()
    job = job_of_a_file(platform, window=3)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    assert platform.waiting() <= 3
    job.suspend()
    wait_until(
        lambda: job.number(Field.IN_FLIGHT) == platform.waiting() == 0, what="the job to rest", explain=job.explain
    )
    done = job.number(Field.SHARDS_DONE)
    assert 2 <= done < SHARDS
    worker.wait_for_log("suspended")
    job.resume()
    job.wait_until_finalized()
    assert_file_is_whole(job)
    worker.wait_for_log(SHARD_DONE, times=SHARDS)
    assert worker.log.count(SHARD_DONE) == SHARDS


def test_a_job_whose_ledger_is_lost_goes_on_from_its_checkpoints(platform: Platform) -> None:
    first = platform.worker()
    job = job_of_a_file(platform, window=3)
    job.wait_for(Field.SHARDS_DONE, at_least=4)
    first.kill()
    done = job.number(Field.SHARDS_DONE)
    min((platform.claim / "out").glob("part-*.jsonl")).unlink()
    platform.redis.delete(*ledger.ledger_keys(job.uid))
    second = platform.worker()
    job.make_ledger(epoch=1)
    job.publish_plan()
    job.wait_until_finalized()
    assert_file_is_whole(job)
    # One was without its part; a shard may have been between its checkpoint and its count.
    left = SHARDS - done
    second.wait_for_log(SHARD_DONE, times=left - 1)
    assert left - 1 <= second.log.count(SHARD_DONE) <= left + 1


def test_a_shard_that_ends_each_of_its_workers_fails_its_records_and_no_others(platform: Platform) -> None:
    spec = platform.spec(key_field="id", records_per_task=2)
    job = platform.submit(spec, [{"id": i, "x": [i, 0]} for i in range(4)])
    platform.redis.hset(ledger.starts_key(job.uid), "1", 5)
    platform.worker()
    job.wait_until_finalized()
    assert job.counts == (4, 2, 2)
    codes = {key: error["error"]["code"] for key, error in job.errors.items()}
    assert {"2": "PoisonMessage", "3": "PoisonMessage"} == codes


def test_a_job_that_is_deleted_stops_at_work(platform: Platform) -> None:
    worker = platform.worker()
    spec = platform.spec(model="slow", records_per_task=2000, max_in_flight_requests=1)
    job = platform.submit(spec, [{"x": [0, 0]}] * 2000)
    job.wait_for(Field.IN_FLIGHT, at_least=1)
    platform.redis.delete(*ledger.ledger_keys(job.uid))
    # Much sooner than after the 100 s that it would take.
    worker.wait_for_log("shard dropped", timeout_seconds=50)
    wait_until(lambda: platform.waiting() == 0, what="the queue to be empty")
    assert job.results == {}


def test_a_shard_beyond_the_time_limit_is_taken_from_its_worker_and_counted_in_the_end(platform: Platform) -> None:
    limits = {"MILLRACE_TASK_SOFT_TIME_LIMIT_SECONDS": "5", "MILLRACE_TASK_TIME_LIMIT_SECONDS": "10"}
    job = platform.submit(platform.spec(model="slow", max_in_flight_requests=1), [{"x": [0, 0]}] * 160)
    platform.redis.hset(ledger.starts_key(job.uid), "0", 4)
    platform.worker(concurrency=1, **limits)
    job.wait_until_finalized()
    assert job.counts == (160, 0, 160)


def test_a_worker_that_is_told_to_stop_finishes_its_shard(platform: Platform) -> None:
    first = platform.worker(concurrency=1)
    job = slow_job(platform)
    job.wait_for(Field.IN_FLIGHT, at_least=4)
    assert first.process is not None
    first.process.terminate()
    wait_until(lambda: not first.is_running(), what="the worker to end", explain=job.explain)
    done = job.number(Field.SHARDS_DONE)
    assert done >= 1
    assert job.number(Field.IN_FLIGHT) == 0
    platform.worker(concurrency=2)
    job.wait_until_finalized()
    assert_whole(job)
