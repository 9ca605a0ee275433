"""Results as Kafka messages: the record's key is the message's key, and each is confirmed before its shard counts.

A shard that is delivered twice produces twice. Whoever must not see a record twice drops what it has seen: the headers
millrace-job, millrace-shard and millrace-offset name a record's place in its job and are the same each time.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import redis

from millrace_contracts.results import Manifest, RecordFailure, RecordResult, manifest_key
from millrace_contracts.tasks import JobRef
from millrace_worker.kafka_message import KafkaMessage, KafkaSender
from millrace_worker.ledger import translated

MANIFEST_SECONDS: Final = 7 * 86_400
"""As long as Kafka keeps messages by default."""


class KafkaResults:
    """A topic of results and one of errors, which may be the same, and a manifest in Redis that names them."""

    def __init__(
        self, sender: KafkaSender, client: redis.Redis, *, job: JobRef, topic: str, errors_topic: str = ""
    ) -> None:
        self._sender = sender
        self._client = client
        self._job = job
        self._topic = topic
        self._errors_topic = errors_topic or topic

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return f"kafka:{self._topic}"

    def prepare(self) -> None:
        """See that the topics are there and Kafka answers, before anything is computed."""
        for topic in self._topics:
            self._sender.check_topic(topic)

    def write_shard(self, index: int, results: Sequence[RecordResult], failures: Sequence[RecordFailure]) -> None:
        """Produce all records of a shard, and wait until Kafka has them."""
        self._sender.send(self._messages(index, results, failures))

    def part_names(self, shards_total: int) -> list[str]:
        """Name the topics."""
        del shards_total
        return self._topics

    def write_manifest(self, manifest: Manifest, *, shards_total: int) -> str:
        """Write the manifest to Redis, where consumers see that the job is whole."""
        del shards_total
        with translated():
            self._client.set(manifest_key(self._job.uid), manifest.model_dump_json(), ex=MANIFEST_SECONDS)
        return f"redis:{manifest_key(self._job.uid)}"

    @property
    def _topics(self) -> list[str]:
        return [self._topic] if self._topic == self._errors_topic else [self._topic, self._errors_topic]

    def _messages(
        self, index: int, results: Sequence[RecordResult], failures: Sequence[RecordFailure]
    ) -> Iterator[KafkaMessage]:
        # Both lists are in input order and so are their lines: a record has the same offset each time.
        records: list[RecordResult | RecordFailure] = [*results, *failures]
        for offset, record in enumerate(sorted(records, key=lambda one: one.line)):
            is_failure = isinstance(record, RecordFailure)
            yield KafkaMessage(
                topic=self._errors_topic if is_failure else self._topic,
                key=record.key,
                value=record.model_dump_json(),
                headers=(
                    ("millrace-job", self._job.uid),
                    ("millrace-shard", str(index)),
                    ("millrace-offset", str(offset)),
                    ("millrace-outcome", "failed" if is_failure else "succeeded"),
                ),
            )
