"""Measure the ingest bridge: how fast it is with confirms, and that killing or moving it loses and doubles nothing.

Kafka, RabbitMQ and Redis are real servers on this machine, which all share its cores with the bridge and its worker.
"""

import argparse
import json
import random
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from millrace_contracts.streams import IngestMetricNames
from millrace_loadtest.live.progress import say
from millrace_loadtest.pipeline import counted_events, servers
from millrace_loadtest.pipeline.servers import Program, wait_for

RATE_RECORDS: Final = 200_000
PARTITIONS: Final = 3
KILLS: Final = 20
KILL_EVENTS_A_SECOND: Final = 1000
REBALANCE_EVENTS: Final = 15_000
LIMIT_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Loop:
    """The servers, and a folder for logs."""

    kafka: str
    broker_url: str
    redis_url: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What bridges and workers are told."""
        return {
            "MILLRACE_BROKER_URL": self.broker_url,
            "MILLRACE_REDIS_URL": self.redis_url,
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "MILLRACE_TASK_MODULES": counted_events.MODULE,
        }

    def create_topics(self, name: str) -> None:
        """Make the topic of a stream, and that of its dead letters."""
        admin = AdminClient({"bootstrap.servers": self.kafka})
        topics = [NewTopic(name, PARTITIONS, 1), NewTopic(f"{name}.dead", 1, 1)]
        for made in admin.create_topics(topics, operation_timeout=30).values():
            made.result(timeout=60)

    def bridge(self, name: str, *, replica: int = 0, **stream: Any) -> tuple[Program, int]:
        """Describe a replica, and the port of its metrics."""
        known: dict[str, Any] = {"name": name, "topic": name, "group": name, "queue": name}
        known["task"] = counted_events.TASK
        # Members that are killed are missed soon, or most of the time passes with waiting for that.
        known |= {"consumer": {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}}
        port = servers.free_port()
        folder = self.folder / f"{name}-{replica}"
        return servers.bridge(folder, stream=known | stream, port=port, environment=self.environment), port

    @contextmanager
    def worker(self, name: str) -> Iterator[None]:
        """Run a worker that counts the effects of a stream."""
        folder = self.folder / f"worker-{name}"
        with servers.worker(folder, queue=name, environment=self.environment):
            servers.wait_for_worker(folder)
            yield

    def counted(self, name: str) -> Mapping[str, int]:
        """Answer the effects of a stream so far."""
        with redis.Redis.from_url(self.redis_url) as client:
            return counted_events.counted(client, name)

    def committed(self, name: str) -> int:
        """Answer the sum of the committed offsets."""
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": name})
        try:
            asked = [TopicPartition(name, number) for number in range(PARTITIONS)]
            return sum(max(one.offset, 0) for one in consumer.committed(asked, timeout=30))
        finally:
            consumer.close()


class Load:
    """Writes events at a rate, and knows where Kafka put each."""

    def __init__(self, loop: Loop, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": loop.kafka, "acks": "all", "enable.idempotence": True})
        self._topic = topic
        self.places: list[str] = []

    def write(self, count: int, *, a_second: float | None = None) -> None:
        """Write so many events, evenly, and wait until Kafka has them."""
        pause, began = threading.Event(), time.monotonic()
        for number in range(count):
            if a_second and number % 50 == 0:
                pause.wait(max(began + number / a_second - time.monotonic(), 0.0))
            while not self._offer(number):
                self._producer.poll(0.1)
        self._producer.flush(LIMIT_SECONDS)

    def _offer(self, number: int) -> bool:
        user = f"user-{number % 5000}"
        try:
            self._producer.produce(self._topic, key=user, value=_event(user, number), on_delivery=self._delivered)
        except BufferError:
            return False
        self._producer.poll(0)
        return True

    def _delivered(self, error: object, message: Any) -> None:
        if error is not None:
            raise RuntimeError(f"Kafka did not take an event: {error}")
        self.places.append(f"{message.partition()}:{message.offset()}")


def _event(user: str, number: int) -> bytes:
    """Write an event of some 200 bytes."""
    session = f"{number % 1000:032x}{number % 777:032x}"
    page = f"/products/{number % 10_000}"
    text = {
        "user": user,
        "item": number % 10_000,
        "kind": "view",
        "at": 1.7e9 + number,
        "session": session,
        "page": page,
    }
    return json.dumps(text).encode()


def measure_rate(loop: Loop) -> dict[str, float]:
    """Let one bridge publish all records of a full topic; the time runs from its first confirmed record."""
    name = "rate"
    loop.create_topics(name)
    Load(loop, name).write(RATE_RECORDS)
    bridge, port = loop.bridge(name, keyField="user", required=["user", "item", "kind"], highWaterMessages=1_000_000)
    with bridge:
        begun = wait_for(lambda: _published(port), what="the first record", limit_seconds=120)
        started, computed = time.monotonic(), bridge.cpu_seconds()
        wait_for(lambda: _published(port) >= RATE_RECORDS, what="all records", limit_seconds=LIMIT_SECONDS)
        seconds, cpu = time.monotonic() - started, bridge.cpu_seconds() - computed
        wait_for(lambda: loop.committed(name) >= RATE_RECORDS, what="all offsets to be committed")
    records = RATE_RECORDS - begun
    return {
        "records": RATE_RECORDS,
        "records_per_second": round(records / seconds),
        "cpu_seconds": round(cpu, 2),
        "records_per_cpu_second": round(records / cpu),
    }


def _published(port: int) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return 0.0
    wanted = [line for line in lines if line.startswith(f"{IngestMetricNames.RECORDS}{{") and 'published"' in line]
    return float(wanted[0].rsplit(" ", 1)[1]) if wanted else 0.0


def measure_kills(loop: Loop, chance: random.Random) -> dict[str, float]:
    """Kill one bridge again and again, at moments that chance chooses, while events keep coming."""
    name = "kills"
    loop.create_topics(name)
    load = Load(loop, name)
    bridge, port = loop.bridge(name)
    killed = 0
    with loop.worker(name), bridge:
        for _ in range(KILLS):
            before = _published(port)
            writing = threading.Thread(target=load.write, args=(KILL_EVENTS_A_SECOND,), daemon=True)
            writing.start()
            # A bridge that has not begun would only prove that nothing was lost where nothing was done.
            wait_for(lambda seen=before: _published(port) > seen, what="the bridge to work", limit_seconds=120)  # type: ignore[misc] # bound by default
            threading.Event().wait(chance.uniform(0.0, 0.5))
            bridge.kill()
            killed += 1
            writing.join()
            bridge.start()
            say(f"kill {killed} of {KILLS}, {len(load.places)} events so far")
        return {"kills": killed, "kill_events": len(load.places), **_settled(loop, name, load.places)}


def measure_rebalance(loop: Loop) -> dict[str, float]:
    """Run three replicas under load while one joins late, one leaves, and one is killed and comes back."""
    name = "moves"
    loop.create_topics(name)
    load = Load(loop, name)
    replicas = [loop.bridge(name, replica=number) for number in range(3)]
    with loop.worker(name), ExitStack() as running:
        for bridge, _ in replicas[:2]:
            running.enter_context(bridge)
        wait_for(lambda: servers.status(f"http://127.0.0.1:{replicas[0][1]}/readyz") == 200, what="a bridge")  # noqa: PLR2004 - HTTP's OK
        writing = threading.Thread(target=load.write, args=(REBALANCE_EVENTS,), kwargs={"a_second": 1000}, daemon=True)
        writing.start()
        for step, at in (
            (lambda: running.enter_context(replicas[2][0]), 0.2),
            (replicas[0][0].end, 0.4),
            (replicas[1][0].kill, 0.6),
            (replicas[0][0].start, 0.7),
            (replicas[1][0].start, 0.8),
        ):
            wait_for(
                lambda share=at: len(load.places) >= share * REBALANCE_EVENTS,  # type: ignore[misc] # bound by default
                what="events",
                limit_seconds=LIMIT_SECONDS,
            )
            step()
        writing.join()
        settled = _settled(loop, name, load.places)
    return {
        "rebalance_events": len(load.places),
        "rebalance_lost_records": settled["lost_records"],
        "rebalance_doubled_effects": settled["doubled_effects"],
    }


def _settled(loop: Loop, name: str, places: Sequence[str]) -> dict[str, float]:
    """Wait until everything is committed and nothing changes any more, and count what is missing or too much."""
    wait_for(
        lambda: loop.committed(name) >= len(places), what="all offsets to be committed", limit_seconds=LIMIT_SECONDS
    )
    seen = loop.counted(name)
    try:
        wait_for(
            lambda: counted_events.lost(places, loop.counted(name)) == 0,
            what="all effects",
            limit_seconds=LIMIT_SECONDS,
        )
    except TimeoutError as error:
        say(str(error))
    finally:
        # A second delivery would come after the first: give it the time to show.
        threading.Event().wait(3.0)
        seen = loop.counted(name)
    return {"lost_records": counted_events.lost(places, seen), "doubled_effects": counted_events.doubled(seen)}


def measure(folder: Path, *, seed: int) -> dict[str, Any]:
    """Run all three on servers of their own."""
    figures: dict[str, Any] = {"conditions": servers.conditions(), "seed": seed}
    with ExitStack() as running:
        loop = Loop(
            kafka=running.enter_context(servers.kafka(folder / "kafka")).url,
            broker_url=running.enter_context(servers.rabbitmq(folder / "rabbitmq")).url,
            redis_url=running.enter_context(servers.redis()).url,
            folder=folder,
        )
        say(f"rate: {RATE_RECORDS} records")
        figures |= measure_rate(loop)
        say(f"{figures['records_per_second']} records/s; now {KILLS} kills")
        figures |= measure_kills(loop, random.Random(seed))  # noqa: S311 - moments, not secrets
        say("three replicas, moved under load")
        figures |= measure_rebalance(loop)
    return figures


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-ingest-") as folder:
        figures = measure(Path(folder), seed=arguments.seed)
    arguments.report.write_text(json.dumps(figures, indent=2) + "\n")
    say(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
