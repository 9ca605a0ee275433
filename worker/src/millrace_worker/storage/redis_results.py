"""Results as fields of Redis hashes, one per record, that go away after their time to live."""

from collections.abc import Sequence
from typing import Any

import redis

from millrace_contracts.results import Manifest, RecordFailure, RecordResult, errors_key, manifest_key, results_key
from millrace_worker.ledger import translated


class RedisResults:
    """Two hashes and a manifest. A key that two records of different shards share keeps what was written last."""

    def __init__(self, client: redis.Redis, *, uid: str, ttl_seconds: int) -> None:
        self._client = client
        self._uid = uid
        self._ttl_seconds = ttl_seconds

    @property
    def uri(self) -> str:
        """Where people find the results."""
        return f"redis:{results_key(self._uid)}"

    def prepare(self) -> None:
        """Do nothing: whoever reads the ledger can write there too."""

    def write_shard(self, index: int, results: Sequence[RecordResult], failures: Sequence[RecordFailure]) -> None:
        """Write all records of a shard in one transaction; a record is in one of the two hashes only."""
        del index
        good: dict[Any, Any] = {result.key: result.model_dump_json() for result in results}
        bad: dict[Any, Any] = {failure.key: failure.model_dump_json() for failure in failures}
        with translated(), self._client.pipeline(transaction=True) as pipe:
            for key, fields, others in (
                (results_key(self._uid), good, bad),
                (errors_key(self._uid), bad, good),
            ):
                if fields:
                    pipe.hset(key, mapping=fields)
                if moved := [name for name in others if name not in fields]:
                    pipe.hdel(key, *moved)
                pipe.expire(key, self._ttl_seconds)
            pipe.execute()

    def part_names(self, shards_total: int) -> list[str]:
        """Name the two hashes."""
        del shards_total
        return [results_key(self._uid), errors_key(self._uid)]

    def write_manifest(self, manifest: Manifest, *, shards_total: int) -> str:
        """Write the manifest; results and errors live as long as it does."""
        del shards_total
        with translated(), self._client.pipeline(transaction=True) as pipe:
            pipe.set(manifest_key(self._uid), manifest.model_dump_json(), ex=self._ttl_seconds)
            pipe.expire(results_key(self._uid), self._ttl_seconds)
            pipe.expire(errors_key(self._uid), self._ttl_seconds)
            pipe.execute()
        return f"redis:{manifest_key(self._uid)}"
