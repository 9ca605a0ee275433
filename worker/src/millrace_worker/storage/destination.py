"""Where results go, behind one port: files on a claim or in an object store, hashes in Redis, or topics of Kafka.

Writing a shard again replaces what the first run wrote, so a shard that is delivered twice leaves the same files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import redis

from millrace_contracts.outputs import ClaimOutput, KafkaOutput, ObjectStoreOutput, RedisOutput
from millrace_contracts.results import Manifest, Part, RecordFailure
from millrace_contracts.tasks import JobSpec
from millrace_worker.errors import OutputUnwritable
from millrace_worker.inference.model import TensorSpec
from millrace_worker.kafka_message import KafkaSender
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.file_results import FileResults
from millrace_worker.storage.folders import ClaimFolder, Folder
from millrace_worker.storage.kafka_results import KafkaResults
from millrace_worker.storage.object_folder import ObjectFolder, ObjectStore
from millrace_worker.storage.outcome import Results
from millrace_worker.storage.redis_results import RedisResults


class Destination(Protocol):
    """The place of one job's results."""

    @property
    def uri(self) -> str:
        """Where people find the results."""

    @property
    def refused(self) -> Mapping[int, RecordFailure]:
        """Answer the results of the last write that were written as errors, because the destination takes them not.

        By their place among what was written.
        """

    def prepare(self) -> None:
        """Make sure that results can be written, before anything is computed."""

    def write_shard(
        self, index: int, results: Results, failures: Sequence[RecordFailure], *, outputs: Sequence[TensorSpec] = ()
    ) -> list[Part]:
        """Write what one shard gave, and answer the files that it made.

        `outputs` is what the model says of the outputs that are written.
        """

    def write_redriven(
        self,
        index: int,
        position: int | None,
        results: Results,
        failures: Sequence[RecordFailure],
        *,
        outputs: Sequence[TensorSpec] = (),
    ) -> list[Part]:
        """Write what a shard, or one record of it, gave after it came back from the dead-letter queue."""

    def write_checkpoint(self, index: int, text: str) -> None:
        """Note beside the files what the ledger was told of the shard."""

    def read_checkpoints(self) -> Iterator[tuple[int, str]]:
        """Answer what was noted for each shard, in no order; a note may be cut off."""

    def holds(self, parts: Iterable[Part]) -> bool:
        """Say whether all parts are there with the sizes that they were written with."""

    def write_manifest(self, manifest: Manifest, *, parts: Mapping[int, Sequence[Part]]) -> str:
        """Write the manifest with the parts of all shards, tidy up, and answer where it is."""


_STORE = ObjectStore()
"""It makes its client at the first use in each process."""


def open_destination(
    spec: JobSpec,
    *,
    claims: Claims,
    client: redis.Redis,
    kafka: Callable[[], KafkaSender],
    is_active: Callable[[str], bool] = lambda _: True,
) -> Destination:
    """Answer the destination that the job asks for; `is_active` says of the uid of another whether it is under way."""
    output, writing = spec.output, spec.writing
    if isinstance(output, RedisOutput):
        return RedisResults(
            client, uid=spec.job.uid, ttl_seconds=output.ttl_seconds, join=writing.join, dry_run=spec.dry_run
        )
    if isinstance(output, KafkaOutput):
        return KafkaResults(
            kafka(),
            client,
            job=spec.job,
            topic=output.topic,
            errors_topic=output.errors_topic,
            join=writing.join,
            dry_run=spec.dry_run,
        )
    return FileResults(
        _folder(output, claims),
        uid=spec.job.uid,
        job=f"{spec.job.namespace}/{spec.job.name}",
        writing=writing,
        dry_run=spec.dry_run,
        is_active=is_active,
    )


def folder_at(uri: str, *, claims: Claims) -> Folder:
    """Answer the folder that this uri names, as a Folder itself says it; OutputUnwritable where there are no files."""
    scheme, _, rest = uri.partition("://")
    claim, _, path = rest.partition("/")
    if scheme == "pvc":
        return ClaimFolder(claims, claim=claim, path=path)
    if scheme == "s3":
        return ObjectFolder(_STORE, uri=uri)
    raise OutputUnwritable(f'"{uri}" is no folder of files; give pvc://claim/path or s3://bucket/prefix')


def _folder(output: ClaimOutput | ObjectStoreOutput, claims: Claims) -> Folder:
    if isinstance(output, ClaimOutput):
        return ClaimFolder(claims, claim=output.claim_name, path=output.path)
    return ObjectFolder(_STORE, uri=output.uri)
