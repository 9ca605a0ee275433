"""A Celery app that knows nothing of any autoscaler; its one task sleeps and notes in Redis when and where it ran."""

import json
import os
import time
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from redis import Redis

QUEUE = os.environ["BENCH_QUEUE"]
NOTES = os.environ.get("BENCH_NOTES", "bench:notes")

app = Celery("plain", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_queues=[Queue(QUEUE, Exchange("bench"), routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@app.task(bind=True, name="bench.work")  # type: ignore[untyped-decorator]  # Celery has no types
def work(self: Any, seconds: float) -> None:
    """Take as long as the message says."""
    with Redis.from_url(os.environ["BENCH_REDIS_URL"]) as redis:
        about = {
            "task": self.request.id,
            "pod": os.environ["HOSTNAME"],
            "redelivered": bool((self.request.delivery_info or {}).get("redelivered")),
        }
        redis.rpush(NOTES, json.dumps({"kind": "started", "at": time.time(), **about}))  # noqa: TID251 - the edge
        time.sleep(seconds)  # noqa: TID251 - the task's whole work
        redis.rpush(NOTES, json.dumps({"kind": "ended", "at": time.time(), **about}))  # noqa: TID251 - the edge
