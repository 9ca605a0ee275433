"""A Celery app that knows nothing of Millrace: what the test of adoption runs, as its users would have written it."""

import os
import threading
import time

import redis
from celery import Celery
from kombu import Exchange, Queue

QUEUE = "adopted"
app = Celery("adopted", broker=os.environ["MILLRACE_BROKER_URL"])
app.conf.update(
    task_queues=[Queue(QUEUE, Exchange(QUEUE, type="topic"), QUEUE, queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue=QUEUE,
    task_default_exchange=QUEUE,
    task_default_exchange_type="topic",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    worker_enable_remote_control=os.environ.get("REMOTE_CONTROL") != "off",
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
)


@app.task(name="hold")
def hold(name: str, seconds: float) -> None:
    """Work for so long, or until told to end, and write down when it begins and ends."""
    journal = redis.Redis.from_url(os.environ["MILLRACE_REDIS_URL"])
    pod = os.environ["HOSTNAME"]
    journal.rpush(f"adopted:{name}", f"begin {pod}")
    over = time.monotonic() + seconds
    while time.monotonic() < over and not journal.exists(f"adopted:{name}:over"):
        threading.Event().wait(0.1)
    journal.rpush(f"adopted:{name}", f"end {pod}")
