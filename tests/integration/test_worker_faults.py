"""Whatever is killed or restarted, each record is predicted and counted once."""

import json
import os
import signal
from pathlib import Path

from containers import Container
from deadly_steps import MOMENTS
from waiters import wait_until
from worker_jobs import Job, Platform, claim_output

from millrace_contracts import ledger
from millrace_contracts.inputs import InlineShard, Shard
from millrace_contracts.ledger import Field
from millrace_contracts.tasks import FINALIZE, PREDICT_SHARD, FinalizeTask, ShardTask

RECORDS = 60
"""Of the model "slow", 50 ms each: three seconds of work at least, in shards of 0.2 s."""


def slow_job(platform: Platform) -> Job:
    spec = platform.spec(model="slow", key_field="id", records_per_task=4, max_in_flight_requests=1)
    return platform.submit(spec, [{"id": i, "x": [i, 0]} for i in range(RECORDS)])


def job_of_a_file(platform: Platform, *, window: int) -> Job:
    """Have slow records read from a file, so that shards bring the next ones."""
    source = platform.write_input([json.dumps({"id": i, "x": [i, 0]}) for i in range(RECORDS)])
    spec = platform.spec(
        model="slow", output=claim_output(), key_field="id", records_per_task=4, max_in_flight_requests=1
    )
    return platform.submit(spec, source, window=window)


def assert_file_is_whole(job: Job) -> None:
    assert job.counts == (RECORDS, RECORDS, 0)
    folder = job.platform.claim / "out"
    parts = json.loads((folder / "manifest.json").read_text())["parts"]
    lines = [json.loads(line) for part in parts for line in (folder / part["name"]).read_text().splitlines()]
    assert [line["key"] for line in lines] == [str(i) for i in range(RECORDS)]
    assert job.number(Field.IN_FLIGHT) == 0


def assert_whole(job: Job) -> None:
    assert job.counts == (RECORDS, RECORDS, 0)
    assert {key: result["outputs"]["y"][0] for key, result in job.results.items()} == {
        str(i): float(i) for i in range(RECORDS)
    }
    assert job.number(Field.IN_FLIGHT) == 0


def keep_new_queues(rabbitmq: Container) -> None:
    """Make RabbitMQ write down which queues it has: when killed, it forgets those of the last second with all in them.

    Only a kill of all nodes within a second after a pool's very first start can meet this.
    """
    rabbitmq.run("rabbitmqctl", "eval", "[dets:sync(Table) || Table <- dets:all()].")


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
        wait_until(lambda answer=answer: answer in platform.workers[0].log, what=answer, timeout_seconds=20)
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
    job.wait_until_finalized(timeout_seconds=90)
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
    assert 2 <= done < RECORDS // 4
    assert "suspended" in worker.log
    job.resume()
    job.wait_until_finalized()
    assert_file_is_whole(job)
    assert worker.log.count('"event": "shard done"') == RECORDS // 4


def test_a_job_whose_ledger_is_lost_goes_on_from_its_checkpoints(platform: Platform) -> None:
    first = platform.worker()
    job = job_of_a_file(platform, window=3)
    job.wait_for(Field.SHARDS_DONE, at_least=4)
    first.kill()
    done = job.number(Field.SHARDS_DONE)
    (platform.claim / "out" / "part-00001.jsonl").unlink()
    platform.redis.delete(*ledger.ledger_keys(job.uid))
    second = platform.worker()
    job.make_ledger(epoch=1)
    job.publish_plan()
    job.wait_until_finalized()
    assert_file_is_whole(job)
    # One was without its part; a shard may have been between its checkpoint and its count.
    run_again = second.log.count('"event": "shard done"')
    assert RECORDS // 4 - done - 1 <= run_again <= RECORDS // 4 - done + 1


def test_a_shard_that_ends_each_of_its_workers_fails_its_records_and_no_others(platform: Platform) -> None:
    spec = platform.spec(key_field="id", records_per_task=2)
    job = platform.submit(spec, [{"id": i, "x": [i, 0]} for i in range(4)])
    platform.redis.hset(ledger.starts_key(job.uid), "1", 5)
    platform.worker()
    job.wait_until_finalized()
    assert job.counts == (4, 2, 2)
    codes = {key: error["error"]["code"] for key, error in job.errors.items()}
    assert {"2": "PoisonMessage", "3": "PoisonMessage"} == codes


def test_a_job_goes_on_when_triton_comes_back(platform: Platform, triton: Container) -> None:
    platform.worker()
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    triton.kill()
    try:
        wait_until(lambda: job.fields.get(Field.WAITING_FOR), what="the reason to wait", timeout_seconds=40)
        assert "Triton at" in job.fields[Field.WAITING_FOR]
        assert job.number(Field.FAILED) == 0
    finally:
        triton.start()
    job.wait_until_finalized(timeout_seconds=80)
    assert_whole(job)
    assert job.fields[Field.WAITING_FOR] == ""


def test_a_job_goes_on_when_rabbitmq_was_restarted(platform: Platform, rabbitmq: Container) -> None:
    worker = platform.worker()
    keep_new_queues(rabbitmq)
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    rabbitmq.kill()
    wait_until(lambda: not worker.ready_file.exists(), what="the worker to be unready", timeout_seconds=20)
    rabbitmq.start()
    job.wait_until_finalized(timeout_seconds=90)
    assert_whole(job)
    seen = worker.alive_file.stat().st_mtime
    wait_until(lambda: worker.alive_file.stat().st_mtime > seen, what="a heartbeat after it", timeout_seconds=5)
    worker.wait_until_ready()


def test_a_job_goes_on_when_redis_was_restarted(platform: Platform, redis: Container) -> None:
    platform.worker()
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    redis.kill()
    wait_until(lambda: "task waits" in platform.workers[0].log, what="a task to wait", timeout_seconds=40)
    redis.start()
    job.wait_until_finalized(timeout_seconds=80)
    assert_whole(job)


def test_a_worker_that_starts_before_its_servers_gets_to_work_when_they_come(
    platform: Platform, rabbitmq: Container, redis: Container, triton: Container
) -> None:
    platform.publisher.ensure_queue(platform.queue)
    keep_new_queues(rabbitmq)
    job = slow_job(platform)
    for server in (triton, redis, rabbitmq):
        server.kill()
    try:
        worker = platform.worker(is_awaited=False)
        wait_until(lambda: "Cannot connect to amqp" in worker.log, what="a try to connect", timeout_seconds=40)
        began = worker.alive_file.stat().st_mtime
        wait_until(
            lambda: worker.alive_file.stat().st_mtime > began + 2, what="heartbeats meanwhile", timeout_seconds=20
        )
        assert not worker.ready_file.exists()
    finally:
        rabbitmq.start()
        wait_until(worker.ready_file.exists, what="the worker to connect", timeout_seconds=60)
        redis.start()
        triton.start()
    job.wait_until_finalized(timeout_seconds=90)
    assert_whole(job)


def test_a_job_that_is_deleted_stops_at_work(platform: Platform) -> None:
    worker = platform.worker()
    job = platform.submit(platform.spec(model="slow", max_in_flight_requests=1), [{"x": [0, 0]}] * 400)
    job.wait_for(Field.IN_FLIGHT, at_least=1)
    platform.redis.delete(*ledger.ledger_keys(job.uid))
    wait_until(lambda: "shard dropped" in worker.log, what="the shard to be dropped", timeout_seconds=15)
    wait_until(lambda: platform.waiting() == 0, what="the queue to be empty", timeout_seconds=15)
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
    wait_until(lambda: not first.is_running(), what="the worker to end", timeout_seconds=20)
    done = job.number(Field.SHARDS_DONE)
    assert done >= 1
    assert job.number(Field.IN_FLIGHT) == 0
    platform.worker(concurrency=2)
    job.wait_until_finalized()
    assert_whole(job)
