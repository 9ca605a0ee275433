"""One stream of a test: its topic, its queue, the bridges between them, and what arrives."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge_process import BridgeProcess
from containers import Container
from kafka import Kafka
from kombu import Connection
from waiters import wait_until

from millrace_contracts.streams import StreamBatch
from millrace_worker import topology

StreamMaker = Callable[..., "Streaming"]


@contextmanager
def streams(kafka: Kafka, rabbitmq: Container, folder: Path) -> Iterator[StreamMaker]:
    """Hand out streams, and close them in the end."""
    made: list[Streaming] = []

    def make(**options: Any) -> Streaming:
        url = f"amqp://worker:integration@127.0.0.1:{rabbitmq.ports[5672]}/millrace"
        made.append(Streaming(kafka, url, folder, **options))
        return made[-1]

    try:
        yield make
    finally:
        for stream in made:
            stream.close()


@dataclass
class Streaming:
    """A topic and a queue of their own on the servers that all tests share."""

    kafka: Kafka
    broker_url: str
    folder: Path
    partitions: int = 1
    topic_config: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:8]}")
    bridges: list[BridgeProcess] = field(default_factory=list)
    batches: list[StreamBatch] = field(default_factory=list)
    """What `wait_for_events` took from the queue so far."""

    def __post_init__(self) -> None:
        self.kafka.create_topics(self.topic, partitions=self.partitions, **self.topic_config)
        self.kafka.create_topics(f"{self.topic}.dead")

    @property
    def topic(self) -> str:
        """Where its events come from."""
        return f"{self.name}-events"

    @property
    def queue(self) -> str:
        """Where its tasks go."""
        return f"{self.name}-queue"

    @property
    def committed(self) -> list[int]:
        """The committed offset of each partition."""
        return list(self.kafka.committed(self.name, self.topic, self.partitions).values())

    def bridge(self, *, is_awaited: bool = True, **stream: Any) -> BridgeProcess:
        """Start a replica."""
        known = {"name": self.name, "topic": self.topic, "group": self.name, "task": "t", "queue": self.queue}
        bridge = BridgeProcess(
            stream=known | stream,
            environment={"MILLRACE_BROKER_URL": self.broker_url, **self.kafka.environment},
            folder=self.folder / f"bridge-{len(self.bridges)}",
        )
        self.bridges.append(bridge)
        bridge.start()
        if is_awaited:
            bridge.wait_until_ready()
        return bridge

    def wait_for_events(self, count: int, *, timeout_seconds: float = 60.0) -> list[tuple[int, Any]]:
        """Take messages from the queue until so many different events came; answers (partition, value) of each."""
        with Connection(self.broker_url) as connection, connection.channel() as channel:
            queue = topology.work_queue(self.queue)(channel)
            queue.declare()

            def enough() -> bool:
                while message := queue.get():
                    self.batches.append(StreamBatch.model_validate(json.loads(message.body)[1]["batch"]))
                    message.ack()
                return len(self.events()) >= count

            wait_until(
                enough,
                what=f"{count} events in {self.queue}",
                timeout_seconds=timeout_seconds,
                interval_seconds=0.05,
                explain=lambda: f"{self.batches[-5:]}\n{self.logs()}",
            )
        return [(partition, value) for (partition, _), value in sorted(self.events().items())]

    def events(self) -> dict[tuple[int, int], Any]:
        """Answer the different events that were taken, by partition and offset."""
        return {(batch.partition, event.offset): event.value for batch in self.batches for event in batch.records}

    def wait_until_committed(self, *offsets: int) -> None:
        """Wait until the group has committed these offsets, one a partition."""
        wait_until(
            lambda: self.committed == list(offsets),
            what=f"offsets {offsets} to be committed",
            timeout_seconds=60,
            explain=lambda: f"{self.committed}\n{self.logs()}",
        )

    def logs(self) -> str:
        """Answer the end of each bridge's log, for failed tests."""
        return "\n".join(f"--- {bridge.folder.name}\n{bridge.log[-3000:]}" for bridge in self.bridges)

    def close(self) -> None:
        """End the bridges and remove the queue."""
        for bridge in self.bridges:
            bridge.close()
        with Connection(self.broker_url) as connection, connection.channel() as channel:
            topology.work_queue(self.queue)(channel).delete()
            topology.dead_letter_queue(self.queue)(channel).delete()
