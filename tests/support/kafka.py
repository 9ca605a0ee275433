"""A real Kafka of one node, as the chart runs it: the same image, the same command."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic
from containers import Container, free_port
from waiters import wait_until

from millrace_loadtest.pipeline.servers import KAFKA_START, kafka_answers, kafka_options, kafka_properties

IMAGE = "millrace/kafka:4.3.1"


@dataclass
class Kafka:
    """One broker, and what tests ask of it."""

    container: Container
    port: int

    @property
    def bootstrap_servers(self) -> str:
        """Where clients of this machine find it."""
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a process of ours that uses it."""
        return {"MILLRACE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers}

    def is_ready(self) -> bool:
        """Say whether it answers what it is."""
        return kafka_answers(self.bootstrap_servers)

    def wait_until_ready(self, *, timeout_seconds: float = 100.0) -> None:
        """Wait until it serves clients."""
        wait_until(self.is_ready, what="Kafka", timeout_seconds=timeout_seconds, explain=self.container.last_lines)

    def create_topics(self, *names: str, partitions: int = 1, **config: str) -> None:
        """Make topics, and wait until they have leaders."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        topics = [NewTopic(name, partitions, 1, config=config) for name in names]
        for made in admin.create_topics(topics, operation_timeout=60).values():
            made.result(timeout=60)
        for name in names:
            wait_until(
                lambda name=name: _leaders(admin, name) == partitions,  # type: ignore[misc] # bound by default
                what=f"the partitions of {name}",
                timeout_seconds=60,
                interval_seconds=0.05,
            )

    def producer(self) -> Producer:
        """Make a producer whose messages are safe when it is flushed, and go together until then."""
        config = {"bootstrap.servers": self.bootstrap_servers, "acks": "all", "linger.ms": 100}
        # What a topic takes, the broker says.
        return Producer({**config, "message.max.bytes": 10_000_000})

    def produce(self, topic: str, *values: Any, partition: int = 0) -> None:
        """Write messages (bytes as they are, everything else as JSON) and wait until Kafka has them."""
        producer = self.producer()
        for value in values:
            payload = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
            producer.produce(topic, value=payload, partition=partition)
        assert producer.flush(60) == 0

    def read(self, topic: str, count: int, *, timeout_seconds: float = 60.0) -> list[Message]:
        """Wait for the first messages of a topic of one partition."""
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap_servers, "group.id": "tests", "enable.auto.commit": False}
        )
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Message] = []
        try:

            def enough() -> bool:
                found.extend(message for message in consumer.consume(count, 0.2) if message.error() is None)
                return len(found) >= count

            wait_until(
                enough,
                what=f"{count} messages in {topic}",
                timeout_seconds=timeout_seconds,
                interval_seconds=0.01,
                explain=lambda: found,
            )
        finally:
            consumer.close()
        return found

    def read_all(self, topic: str) -> list[Message]:
        """Answer what is in a topic of one partition now."""
        config = {"bootstrap.servers": self.bootstrap_servers, "group.id": "tests", "enable.partition.eof": True}
        consumer = Consumer({**config, "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Message] = []
        try:
            while (message := consumer.poll(60)) is not None and message.error() is None:
                found.append(message)
        finally:
            consumer.close()
        assert message is not None, f"Kafka says nothing of {topic}"
        return found

    def change_broker(self, **config: str) -> None:
        """Change settings of the broker while it runs."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        broker = ConfigResource(ConfigResource.Type.BROKER, "1", incremental_configs=entries)
        for changed in admin.incremental_alter_configs([broker], request_timeout=60).values():
            changed.result(timeout=60)

    def committed(self, group: str, topic: str, partitions: int = 1) -> dict[int, int]:
        """Answer the committed offset of each partition; -1001 where nothing was committed."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group})
        try:
            answers = consumer.committed([TopicPartition(topic, number) for number in range(partitions)], timeout=30)
            return {answer.partition: answer.offset for answer in answers}
        finally:
            consumer.close()


def _leaders(admin: AdminClient, topic: str) -> int:
    """Count the partitions of a topic that somebody leads."""
    partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions
    return sum(partition.leader >= 0 for partition in partitions.values())


@contextmanager
def running_kafka(folder: Path) -> Iterator[Kafka]:
    """Start a broker, wait until it serves, and remove it in the end."""
    port = free_port()
    file = folder / "server.properties"
    file.write_text(kafka_properties(port))
    folder.chmod(0o755)
    container = Container(
        image=IMAGE, ports={port: port}, command=["sh", "-c", KAFKA_START], options=kafka_options(file)
    )
    container.create()
    try:
        kafka = Kafka(container, port)
        kafka.wait_until_ready()
        yield kafka
    finally:
        container.remove()
