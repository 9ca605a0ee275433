"""Messages that are no tasks go to the dead-letter queue, and the worker lives on."""

import json
from typing import Any

from kombu import Connection
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.inputs import InlineShard, Shard
from millrace_contracts.tasks import ShardTask

V2: dict[str, Any] = {
    "lang": "py",
    "id": "1",
    "task": "millrace.plan",
    "argsrepr": "",
    "kwargsrepr": "",
    "root_id": "1",
}
JSON = "application/json"


def wait_for_dead_letters(platform: Platform, count: int) -> None:
    wait_until(
        lambda: platform.dead_letters() == count and platform.waiting() == 0,
        what=f"{count} dead letters",
        explain=lambda: f"{platform.dead_letters()} dead, {platform.waiting()} waiting\n{platform.logs()}",
    )


def test_messages_that_cannot_be_read_are_kept_and_the_next_job_runs(platform: Platform) -> None:
    worker = platform.worker(concurrency=1)
    odd: list[tuple[bytes, str, dict[str, Any]]] = [
        (b"{not json", JSON, {}),
        (b"{not json", JSON, V2),
        (b"\xff\xfe", "text/plain", {}),
        (b"cos\nsystem\n(S'true'\ntR.", "application/x-python-serialize", V2),
        (b"5", JSON, {}),
        (b"5", JSON, V2),
        (b"[1]", JSON, V2),
        (b"[[], {}, {}]", JSON, {"task": "millrace.plan"}),
        (json.dumps([[], {}, {}]).encode(), JSON, V2 | {"task": "nobody.knows"}),
        (json.dumps([[], {"payload": {"spec": 1}}, {}]).encode(), JSON, V2),
        (json.dumps([[], {"surprise": 1}, {}]).encode(), JSON, V2),
        (json.dumps([[1, 2, 3, 4], {}, {}]).encode(), JSON, V2),
        # Celery itself reads it, and the process that is to do the task dies of it.
        (b'[[], {"payload": ' + b"[" * 900 + b"]" * 900 + b"}, {}]", JSON, V2),
    ]
    for body, content_type, headers in odd:
        platform.publish_raw(body, content_type=content_type, headers=headers)
    wait_for_dead_letters(platform, len(odd))
    job = platform.submit(platform.spec(), [{"x": [1, 2]}])
    job.wait_until_finalized()
    assert worker.is_running()


def test_no_record_of_a_message_that_cannot_be_read_is_logged(platform: Platform) -> None:
    worker = platform.worker(concurrency=1)
    secret = json.dumps([[], {"payload": {"spec": "top-secret-record"}}, {}]).encode()
    platform.publish_raw(secret, content_type=JSON, headers=V2)
    platform.publish_raw(b"{top-secret-record", content_type=JSON, headers=V2)
    wait_for_dead_letters(platform, 2)
    assert "top-secret-record" not in worker.log


def test_a_log_line_is_json_without_passwords(platform: Platform) -> None:
    worker = platform.worker(concurrency=1)
    platform.submit(platform.spec(), [{"x": [1, 2]}]).wait_until_finalized()
    worker.wait_for_log('"event": "job finalized"')
    for line in worker.log.splitlines():
        if line.startswith("{"):
            json.loads(line)
    assert "integration@" not in worker.log
    assert ":integration" not in worker.log


def test_a_shard_of_a_job_with_a_higher_priority_goes_first(platform: Platform) -> None:
    platform.publisher.ensure_queue(platform.queue)
    shard = Shard(index=0, first_line=1, record_count=1, source=InlineShard(records=[{"x": [1, 2]}]))
    specs = [platform.spec().model_copy(update={"priority": priority}) for priority in (2, 7, 5)]
    for spec in specs:
        platform.publisher.publish_shard(ShardTask(spec=spec, shard=shard))
    with Connection(platform.broker_url) as connection, connection.channel() as channel:
        delivered = [channel.basic_get(platform.queue, no_ack=True) for _ in specs]
    jobs = [message.properties["correlation_id"].partition(":")[0] for message in delivered]
    assert [specs[1].job.uid, specs[2].job.uid, specs[0].job.uid] == jobs
