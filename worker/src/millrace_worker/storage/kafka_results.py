"""Results as Kafka messages: the record's key is the message's key, and each is confirmed before its shard counts.

A shard that is delivered twice produces twice. Whoever must not see a record twice drops what it has seen: the headers
millrace-job, millrace-shard and millrace-offset name a record's place in its job and are the same each time.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

import redis

from millrace_contracts.errors import RecordError
from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import ErrorDetail, Manifest, Part, RecordFailure, manifest_key
from millrace_contracts.tasks import JobRef
from millrace_worker.inference.model import TensorSpec
from millrace_worker.kafka_message import KafkaMessage, KafkaSender, TooLarge
from millrace_worker.ledger import translated
from millrace_worker.storage.json_lines import failure_line, result_lines
from millrace_worker.storage.outcome import Results, in_input_order
from millrace_worker.storage.without_files import WithoutFiles

MANIFEST_SECONDS: Final = 7 * 86_400
"""As long as Kafka keeps messages by default."""

_MOST_OF_A_KEY: Final = 253
"""Of a record's name in a sentence."""


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
        self._refused: Mapping[int, RecordFailure] = {}

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return f"kafka:{self._topic}"

    @property
    def refused(self) -> Mapping[int, RecordFailure]:
        """Answer the results of the last write that were larger than the topic takes, by their place in it."""
        return self._refused

    def prepare(self) -> None:
        """See that the topics are there and Kafka answers, before anything is computed."""
        for topic in self._topics:
            self._sender.check_topic(topic)

    def write_shard(
        self, index: int, results: Results, failures: Sequence[RecordFailure], *, outputs: Sequence[TensorSpec] = ()
    ) -> list[Part]:
        """Produce all records of a shard, and wait until Kafka has them."""
        del outputs
        self._send(_Shard(index, () if self._dry_run else results, failures))
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
        self._send(_Shard(index, results, failures, first=position or 0))
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

    def _send(self, shard: "_Shard") -> None:
        self._refused = {}
        too_large = {one.number: one for one in self._sender.send_what_fits(self._messages(self._entries(shard)))}
        if not too_large:
            return
        entries = [entry for entry in self._entries(shard) if entry.offset - shard.first in too_large]
        failed = {entry.offset: self._as_failure(entry, too_large[entry.offset - shard.first]) for entry in entries}
        # They are small now. Where not even the key fits, the topic takes nothing of the record, and the job stops.
        self._sender.send(self._messages(replace(entry, failure=failed[entry.offset]) for entry in entries))
        self._refused = {e.offset - shard.first: failed[e.offset] for e in entries if e.failure is None}

    def _as_failure(self, entry: "_Entry", too_large: TooLarge) -> RecordFailure:
        """Say what was too large, without the record: it may be what made the message so large."""
        limit = f"{too_large.limit_bytes:,}" if too_large.limit_bytes else "fewer than that"
        size = f'{too_large.size_bytes:,} bytes with key and headers, and topic "{self._topic_of(entry)}" takes {limit}'
        if entry.failure is not None:
            detail = entry.failure.error
            message = f"{detail.message} (the record is left out here: its message has {size})"
            return entry.failure.model_copy(
                update={"error": detail.model_copy(update={"message": message}), "input": None}
            )
        message = (
            f'the message of record "{entry.key[:_MOST_OF_A_KEY]}" has {size}; raise the topic\'s max.message.bytes, '
            "name fewer model.outputs, or choose output.join: Key"
        )
        detail = ErrorDetail(code=RecordError.RESULT_TOO_LARGE, message=message)
        return RecordFailure(key=entry.key, line=entry.line, error=detail, input=None)

    def _entries(self, shard: "_Shard") -> Iterator["_Entry"]:
        ordered = in_input_order(shard.results)
        texts = result_lines(ordered, self._join)
        good = ((result.line, result.key, text) for result, text in zip(ordered, texts, strict=True))
        bad = ((failure.line, failure.key, failure) for failure in sorted(shard.failures, key=lambda one: one.line))
        # Both are in input order and so are their lines: a record has the same offset each time.
        merged: Iterable[tuple[int, str, bytes | RecordFailure]] = heapq.merge(good, bad, key=itemgetter(0))
        for offset, (line, key, value) in enumerate(merged, start=shard.first):
            if isinstance(value, RecordFailure):
                yield _Entry(shard.number, offset, line, key, failure=value)
            else:
                yield _Entry(shard.number, offset, line, key, text=value)

    def _messages(self, entries: Iterable["_Entry"]) -> Iterator[KafkaMessage]:
        for entry in entries:
            yield KafkaMessage(
                topic=self._topic_of(entry),
                key=entry.key,
                value=(entry.text if entry.failure is None else failure_line(entry.failure))[:-1].decode(),
                headers=(
                    ("millrace-job", self._job.uid),
                    ("millrace-shard", str(entry.shard)),
                    ("millrace-offset", str(entry.offset)),
                    ("millrace-outcome", "succeeded" if entry.failure is None else "failed"),
                ),
            )

    def _topic_of(self, entry: "_Entry") -> str:
        return self._topic if entry.failure is None else self._errors_topic


@dataclass(frozen=True, slots=True)
class _Shard:
    """What is written together."""

    number: int
    results: Results
    failures: Sequence[RecordFailure]
    first: int = 0
    """The offset of its first record."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One record on its way: its result as a line, or why it has none."""

    shard: int
    offset: int
    line: int
    key: str
    text: bytes = b""
    failure: RecordFailure | None = None
