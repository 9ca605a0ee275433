"""What the gateway is compared with: a Celery app as one writes it first, one task for a record, a call of Triton each.

The worker has the same number of processes and the same kind of queue, and the producer keeps so many tasks in flight
with as little work as possible: it looks for all results with one command.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from time import perf_counter
from typing import Any, Final

import numpy as np
import redis
from celery import Celery
from kombu import Exchange, Queue
from tritonclient.grpc import InferenceServerClient, InferInput

QUEUE: Final = "per-record"
TASK: Final = "bench.predict"
LIMIT_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.001
"""Of a producer that looks without a pause, the worker would have less of the machine."""


def make_app(broker_url: str, redis_url: str) -> Any:
    """Make the app: acked after the work, on a quorum queue, with results in Redis."""
    app = Celery("per_record", broker=broker_url, backend=redis_url, set_as_current=False)
    exchange = Exchange("per-record", type="topic")
    app.conf.update(
        task_queues=[Queue(QUEUE, exchange, routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})],
        task_default_queue=QUEUE,
        task_default_exchange="per-record",
        task_default_exchange_type="topic",
        task_default_routing_key=QUEUE,
        task_acks_late=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"confirm_publish": True},
    )

    @app.task(name=TASK)  # type: ignore[untyped-decorator] # celery has no types
    def predict(x: Sequence[float]) -> list[float]:
        given = InferInput("x", [1, len(x)], "FP32")
        given.set_data_from_numpy(np.array([x], dtype=np.float32))
        answer = _triton().infer("scorer", [given]).as_numpy("score")
        return [float(value) for value in answer[0]]

    return app


@cache
def _triton() -> Any:
    """Make a client in the process that predicts, after it was forked."""
    return InferenceServerClient(os.environ["PER_RECORD_TRITON_URL"])


def throughput(
    broker_url: str, redis_url: str, records: Iterator[Sequence[float]], *, in_flight: int, seconds: float
) -> float:
    """Keep so many tasks in flight; answers records a second."""
    app = make_app(broker_url, redis_url)
    client = redis.Redis.from_url(redis_url)
    pause, done, began = threading.Event(), 0, perf_counter()
    with app.producer_pool.acquire(block=True) as producer:

        def send(count: int) -> list[str]:
            # Without a subscription for each result, which a producer that looks for itself does not need.
            return [
                app.backend.get_key_for_task(
                    app.send_task(TASK, args=[x], producer=producer, add_to_parent=False, ignore_result=False).id
                ).decode()
                for x in islice(records, count)
            ]

        def still_open() -> list[str]:
            pause.wait(PAUSE_SECONDS)
            found: Any = client.mget(open_keys)
            return [key for key, value in zip(open_keys, found, strict=True) if value is None]

        open_keys = send(in_flight)
        # The first answer says that the worker is there; from then on counts.
        while len(still_open()) == in_flight:
            if perf_counter() - began > LIMIT_SECONDS:
                raise TimeoutError("no worker of the plain app answered; see its log")
        began = perf_counter()
        while perf_counter() - began < seconds:
            remaining = still_open()
            ended = len(open_keys) - len(remaining)
            done += ended
            open_keys = remaining + send(ended)
        rate = done / (perf_counter() - began)
        # What is in flight would disturb the next measurement.
        while open_keys:
            open_keys = still_open()
    return rate


def __getattr__(name: str) -> Any:
    """Make the app when the worker asks for it."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = make_app(os.environ["PER_RECORD_BROKER_URL"], os.environ["PER_RECORD_REDIS_URL"])
    return globals()["app"]
