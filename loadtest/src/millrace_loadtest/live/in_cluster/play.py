"""Play a load and tell what becomes of it, one JSON object a line: published, backlog, started, ended.

Reads its plan from standard input: {"tasks": [[second, seconds of work, queue], ...], "queues": [...], "notes": key,
"limit_seconds": n}. Ends when every task has ended, or at the limit. All times are of this machine's clock.
"""

import json
import os
import sys
import threading
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from typing import Any
from uuid import uuid4

import kombu
from redis import Redis

SAMPLE_SECONDS = 0.25
WORK_QUEUE = {"x-queue-type": "quorum"}


def tell(kind: str, **fields: object) -> None:
    """Write one line, at once."""
    print(json.dumps({"kind": kind, **fields}), flush=True)  # noqa: T201 - this is the program's output


def declared(channel: Any, queues: list[str]) -> None:
    """Declare the queues as the workers do, and empty: a run begins from nothing."""
    exchange = kombu.Exchange("bench")
    for name in queues:
        queue = kombu.Queue(name, exchange, routing_key=name, queue_arguments=WORK_QUEUE)(channel)
        queue.declare()
        queue.purge()


def publish(producer: kombu.Producer, seconds: float, queue: str) -> str:
    """Publish one task as Celery would, and answer its id."""
    task = str(uuid4())
    producer.publish(
        [[seconds], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
        exchange="bench",
        routing_key=queue,
        serializer="json",
        delivery_mode=2,
        headers={"lang": "py", "task": "bench.work", "id": task, "root_id": task, "argsrepr": "", "kwargsrepr": ""},
        correlation_id=task,
    )
    return task


def redeliveries(queue: str) -> int:
    """Answer the broker's own count of deliveries that were repeated."""
    broker = urllib.parse.urlsplit(os.environ["BENCH_BROKER_URL"])
    host = urllib.parse.quote(broker.path.lstrip("/"), safe="")
    request = urllib.request.Request(
        f"http://{broker.hostname}:15692/metrics/detailed?family=queue_delivery_metrics&vhost={host}",
        headers={"Authorization": "Basic " + b64encode(f"{broker.username}:{broker.password}".encode()).decode()},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        lines = answer.read().decode().splitlines()
    name = "rabbitmq_detailed_queue_messages_redelivered_total"
    return sum(int(float(each.split()[-1])) for each in lines if each.startswith(name) and f'queue="{queue}"' in each)


class Notes:
    """What the tasks wrote down, told as it comes."""

    def __init__(self, key: str) -> None:
        self._redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
        self._key = key
        self._read = 0
        self.ended: set[str] = set()
        self._redis.delete(key)

    def tell_new(self) -> None:
        """Tell the notes that came since the last time."""
        for raw in self._redis.lrange(self._key, self._read, -1):
            self._read += 1
            note = json.loads(raw)
            if note["kind"] == "ended":
                self.ended.add(note["task"])
            tell(**note)


def play(plan: dict[str, Any]) -> None:
    """Publish each task at its second, and sample what waits."""
    notes, pause = Notes(plan["notes"]), threading.Event()
    due = sorted(plan["tasks"])
    with kombu.Connection(os.environ["BENCH_BROKER_URL"], transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()
        producer = kombu.Producer(connection.channel())
        declared(channel, plan["queues"])
        before = {queue: redeliveries(queue) for queue in plan["queues"]}
        began, published, sampled = time.time(), 0, 0.0  # noqa: TID251 - the edge
        tell("began", at=began)
        while time.time() < began + plan["limit_seconds"]:  # noqa: TID251 - the edge
            while published < len(due) and time.time() - began >= due[published][0]:  # noqa: TID251 - the edge
                _, seconds, queue = due[published]
                task = publish(producer, seconds, queue)
                tell("published", at=time.time(), task=task, seconds=seconds, queue=queue)  # noqa: TID251 - the edge
                published += 1
            if time.time() - sampled >= SAMPLE_SECONDS:  # noqa: TID251 - the edge
                sampled = time.time()  # noqa: TID251 - the edge
                for queue in plan["queues"]:
                    seen = channel.queue_declare(queue, passive=True)
                    tell("backlog", at=sampled, queue=queue, ready=seen.message_count, consumers=seen.consumer_count)
                notes.tell_new()
                if published == len(due) and len(notes.ended) >= len(due):
                    break
            pause.wait(0.02)
        for queue in plan["queues"]:
            tell("redelivered", queue=queue, count=redeliveries(queue) - before[queue])
        tell("finished", at=time.time(), ended=len(notes.ended), tasks=len(due))  # noqa: TID251 - the edge


if __name__ == "__main__":
    play(json.load(sys.stdin))
