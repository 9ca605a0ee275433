"""Results as fields of Redis hashes, one per record, that go away after their time to live."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import redis

from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import (
    Manifest,
    Part,
    RecordFailure,
    errors_key,
    manifest_key,
    results_key,
)
from millrace_worker.inference.model import TensorSpec
from millrace_worker.ledger import translated
from millrace_worker.storage.json_lines import failure_line, result_lines
from millrace_worker.storage.outcome import Results, in_input_order
from millrace_worker.storage.without_files import WithoutFiles

CHUNK_RECORDS: Final = 500
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""A transaction holds up everybody else at this Redis, and its commands stand in memory on both sides."""

Field = tuple[str, bytes]


class RedisResults(WithoutFiles):
    """Two hashes and a manifest. A key that two records of different shards share keeps what was written last."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        uid: str,
        ttl_seconds: int,
        join: OutputJoin = OutputJoin.KEY,
        dry_run: bool = False,
    ) -> None:
        self._client = client
        self._uid = uid
        self._ttl_seconds = ttl_seconds
        self._join = join
        self._dry_run = dry_run

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return f"redis:{results_key(self._uid)}"

    def prepare(self) -> None:
        """Do nothing: whoever reads the ledger can write there too."""

    def write_shard(
        self, index: int, results: Results, failures: Sequence[RecordFailure], *, outputs: Sequence[TensorSpec] = ()
    ) -> list[Part]:
        """Write all records of a shard; a record is in one of the two hashes only."""
        del index, outputs
        ordered = () if self._dry_run else in_input_order(results)
        good = (
            (result.key, line[:-1]) for result, line in zip(ordered, result_lines(ordered, self._join), strict=True)
        )
        bad = ((failure.key, failure_line(failure)[:-1]) for failure in failures)
        self._write(results_key(self._uid), good, other=errors_key(self._uid), keep=frozenset())
        # The key of a record that failed can be that of one that did not, where the first has only its place for one.
        succeeded = frozenset(result.key for result in ordered) if failures else frozenset()
        self._write(errors_key(self._uid), bad, other=results_key(self._uid), keep=succeeded)
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
        """Write records again; each moves to the hash where it now belongs."""
        del position
        return self.write_shard(index, results, failures, outputs=outputs)

    def write_manifest(self, manifest: Manifest, *, parts: Mapping[int, Sequence[Part]]) -> str:
        """Write the manifest; results and errors live as long as it does."""
        del parts
        good, bad, whole = results_key(self._uid), errors_key(self._uid), manifest_key(self._uid)
        with translated():
            counts: Any = (self._client.hlen(good), self._client.hlen(bad))
            manifest = manifest.model_copy(
                update={
                    "dry_run": self._dry_run,
                    "parts": [Part(name=good, records=counts[0])],
                    "errors": [Part(name=bad, records=counts[1])],
                }
            )
            with self._client.pipeline(transaction=True) as pipe:
                pipe.set(whole, manifest.to_json(), ex=self._ttl_seconds)
                pipe.expire(good, self._ttl_seconds)
                pipe.expire(bad, self._ttl_seconds)
                pipe.execute()
        return f"redis:{whole}"

    def _write(self, key: str, fields: Iterable[Field], *, other: str, keep: frozenset[str]) -> None:
        for chunk in _chunks(fields):
            with translated(), self._client.pipeline(transaction=True) as pipe:
                pipe.hset(key, items=list(chain.from_iterable(chunk)))
                if moved := [name for name, _ in chunk if name not in keep]:
                    pipe.hdel(other, *moved)
                pipe.expire(key, self._ttl_seconds)
                pipe.execute()


def _chunks(fields: Iterable[Field]) -> Iterator[list[Field]]:
    chunk: list[Field] = []
    size = 0
    for field in fields:
        chunk.append(field)
        size += len(field[1])
        if len(chunk) >= CHUNK_RECORDS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
