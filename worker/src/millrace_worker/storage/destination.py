"""Where results go, behind one port: a folder on a claim, hashes in Redis, or topics of Kafka.

Writing a shard again replaces what the first run wrote, so a shard that is delivered twice leaves the same files.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import redis

from millrace_contracts.outputs import ClaimOutput, KafkaOutput, RedisOutput
from millrace_contracts.results import Manifest, RecordFailure, RecordResult
from millrace_contracts.tasks import JobSpec
from millrace_worker.errors import OutputUnwritable
from millrace_worker.kafka_message import KafkaSender
from millrace_worker.storage.claim_results import ClaimResults
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.kafka_results import KafkaResults
from millrace_worker.storage.redis_results import RedisResults


class Destination(Protocol):
    """The place of one job's results."""

    @property
    def uri(self) -> str:
        """Where people find the results."""

    def prepare(self) -> None:
        """Make sure that results can be written, before anything is computed."""

    def write_shard(self, index: int, results: Sequence[RecordResult], failures: Sequence[RecordFailure]) -> None:
        """Write what one shard gave."""

    def part_names(self, shards_total: int) -> list[str]:
        """Name what the manifest lists."""

    def write_manifest(self, manifest: Manifest, *, shards_total: int) -> str:
        """Write the manifest, tidy up, and answer where it is."""


def open_destination(
    spec: JobSpec, *, claims: Claims, client: redis.Redis, kafka: Callable[[], KafkaSender]
) -> Destination:
    """Answer the destination that the job asks for."""
    output = spec.output
    if isinstance(output, ClaimOutput):
        return ClaimResults(claims, claim=output.claim_name, path=output.path)
    if isinstance(output, KafkaOutput):
        return KafkaResults(kafka(), client, job=spec.job, topic=output.topic, errors_topic=output.errors_topic)
    if not isinstance(output, RedisOutput):
        raise OutputUnwritable("this version writes to claims, Redis and Kafka")
    return RedisResults(client, uid=spec.job.uid, ttl_seconds=output.ttl_seconds)
