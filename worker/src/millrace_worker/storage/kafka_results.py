"""Results as Kafka messages: the record's key is the message's key, and each is confirmed before its shard counts.

A shard that is delivered twice produces twice. Whoever must not see a record twice drops what it has seen: the headers
millrace-job, millrace-shard and millrace-offset name a record's place in its job and are the same each time.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final

import redis

from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import Manifest, Part, RecordFailure, manifest_key
from millrace_contracts.tasks import JobRef
from millrace_worker.inference.model import TensorSpec
from millrace_worker.kafka_message import KafkaMessage, KafkaSender
from millrace_worker.ledger import translated
from millrace_worker.storage.json_lines import failure_line, result_lines
from millrace_worker.storage.outcome import Results, in_input_order
from millrace_worker.storage.without_files import WithoutFiles

MANIFEST_SECONDS: Final = 7 * 86_400
"""As long as Kafka keeps messages by default."""


class KafkaResults(WithoutFiles):
    """A topic of results and one of errors, which may be the same, and a manifest in Redis that names them."""

    def __init__(
        self,
        sender: KafkaSender,
        client: redis.Redis,
        *,
        job: JobRef,
        topic: str,
        errors_topic: str = "",
        join: OutputJoin = OutputJoin.KEY,
        dry_run: bool = False,
    ) -> None:
        self._sender = sender
        self._client = client
        self._job = job
        self._topic = topic
        self._errors_topic = errors_topic or topic
        self._join = join
        self._dry_run = dry_run

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return f"kafka:{self._topic}"

    def prepare(self) -> None:
        """See that the topics are there and Kafka answers, before anything is computed."""
        for topic in self._topics:
            self._sender.check_topic(topic)

    def write_shard(
        self, index: int, results: Results, failures: Sequence[RecordFailure], *, outputs: Sequence[TensorSpec] = ()
    ) -> list[Part]:
        """Produce all records of a shard, and wait until Kafka has them."""
        del outputs
        self._sender.send(self._messages(index, () if self._dry_run else results, failures))
        return []

    def write_redriven(
        self,
        index: int,
        position: int | None,
        results: Results,
        failures: Sequence[RecordFailure],
        *,
        outputs: Sequence[TensorSpec] = (),
    ) -> list[Part]:
        """Produce records again, with the place in the job that they had."""
        del outputs
        self._sender.send(self._messages(index, results, failures, first=position or 0))
        return []

    def write_manifest(self, manifest: Manifest, *, parts: Mapping[int, Sequence[Part]]) -> str:
        """Write the manifest to Redis, where consumers see that the job is whole."""
        del parts
        manifest = manifest.model_copy(
            update={
                "dry_run": self._dry_run,
                "parts": [Part(name=self._topic, records=0 if self._dry_run else manifest.records.get("succeeded", 0))],
                "errors": [Part(name=self._errors_topic, records=manifest.records.get("failed", 0))],
            }
        )
        with translated():
            self._client.set(manifest_key(self._job.uid), manifest.to_json(), ex=MANIFEST_SECONDS)
        return f"redis:{manifest_key(self._job.uid)}"

    @property
    def _topics(self) -> list[str]:
        return [self._topic] if self._topic == self._errors_topic else [self._topic, self._errors_topic]

    def _messages(
        self, index: int, results: Results, failures: Sequence[RecordFailure], *, first: int = 0
    ) -> Iterator[KafkaMessage]:
        ordered = in_input_order(results)
        texts = result_lines(ordered, self._join)
        good = ((result.line, result.key, text) for result, text in zip(ordered, texts, strict=True))
        bad = ((failure.line, failure.key, failure) for failure in sorted(failures, key=lambda one: one.line))
        # Both are in input order and so are their lines: a record has the same offset each time.
        merged: Iterable[tuple[int, str, bytes | RecordFailure]] = heapq.merge(good, bad, key=itemgetter(0))
        for offset, (_, key, value) in enumerate(merged, start=first):
            is_failure = isinstance(value, RecordFailure)
            yield KafkaMessage(
                topic=self._errors_topic if is_failure else self._topic,
                key=key,
                value=(failure_line(value) if isinstance(value, RecordFailure) else value)[:-1].decode(),
                headers=(
                    ("millrace-job", self._job.uid),
                    ("millrace-shard", str(index)),
                    ("millrace-offset", str(offset)),
                    ("millrace-outcome", "failed" if is_failure else "succeeded"),
                ),
            )
