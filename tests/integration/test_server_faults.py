"""Whatever server is killed and comes back, each record is predicted and counted once."""

from containers import Container
from slow_jobs import assert_whole, slow_job
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.ledger import Field


def keep_new_queues(rabbitmq: Container) -> None:
    """Make RabbitMQ write down which queues it has: when killed, it forgets those of the last second with all in them.

    Only a kill of all nodes within a second after a pool's very first start can meet this.
    """
    rabbitmq.run("rabbitmqctl", "eval", "[dets:sync(Table) || Table <- dets:all()].")


def test_a_job_goes_on_when_triton_comes_back(platform: Platform, triton: Container) -> None:
    platform.worker()
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    triton.kill()
    try:
        wait_until(lambda: job.fields.get(Field.WAITING_FOR), what="the reason to wait", explain=job.explain)
        assert "Triton at" in job.fields[Field.WAITING_FOR]
        assert job.number(Field.FAILED) == 0
    finally:
        triton.start()
    job.wait_until_finalized(timeout_seconds=150)
    assert_whole(job)
    assert job.fields[Field.WAITING_FOR] == ""


def test_a_job_goes_on_when_rabbitmq_was_restarted(platform: Platform, rabbitmq: Container) -> None:
    worker = platform.worker()
    keep_new_queues(rabbitmq)
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    rabbitmq.kill()
    try:
        wait_until(lambda: not worker.ready_file.exists(), what="the worker to be unready", explain=job.explain)
    finally:
        rabbitmq.start()
    job.wait_until_finalized(timeout_seconds=150)
    assert_whole(job)
    seen = worker.alive_file.stat().st_mtime
    wait_until(lambda: worker.alive_file.stat().st_mtime > seen, what="a heartbeat after it")
    worker.wait_until_ready()


def test_a_job_goes_on_when_redis_was_restarted(platform: Platform, redis: Container) -> None:
    platform.worker()
    job = slow_job(platform)
    job.wait_for(Field.SHARDS_DONE, at_least=2)
    redis.kill()
    try:
        platform.workers[0].wait_for_log("task waits")
    finally:
        redis.start()
    job.wait_until_finalized(timeout_seconds=150)
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
        worker.wait_for_log("Cannot connect to amqp")
        wait_until(worker.alive_file.exists, what="the first heartbeat")
        began = worker.alive_file.stat().st_mtime
        wait_until(lambda: worker.alive_file.stat().st_mtime > began + 2, what="heartbeats meanwhile")
        assert not worker.ready_file.exists()
        rabbitmq.start()
        worker.wait_until_ready()
    finally:
        for server in (rabbitmq, redis, triton):
            server.start()
    job.wait_until_finalized(timeout_seconds=150)
    assert_whole(job)
