"""Where the shards of a job lie, as its ledger keeps it: written once by the plan, read by who publishes a shard."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, overload

import redis

from millrace_contracts.inputs import FileRef, Shard
from millrace_contracts.ledger import files_key, index_key, job_key
from millrace_contracts.shard_index import ENTRY_BYTES, WRITE_INDEX, unpack
from millrace_worker.errors import LedgerUnavailable
from millrace_worker.input.index import shard_at
from millrace_worker.ledger import translated

KAFKA: Final = "kafka"
"""Field of the files that holds the topic of an index of Kafka."""

BYTES_PER_WRITE: Final = 256 * 1024
FILES_PER_WRITE: Final = 1000
"""Redis serves others in between."""

UNFINISHED_TTL_SECONDS: Final = 3600
"""Of an index whose plan died in the middle; longer than any plan may take."""


class Size(NamedTuple):
    """What an index holds."""

    shards: int
    records: int


class JobIndex:
    """The indices of all jobs."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._write = client.register_script(WRITE_INDEX)

    def size(self, uid: str) -> Size | None:
        """Answer how much the index holds; None where there is none."""
        with translated():
            entries = self._bytes("GET", index_key(uid))
        if not entries:
            return None
        starts = range(0, len(entries), ENTRY_BYTES)
        records = sum(unpack(entries[start : start + ENTRY_BYTES]).record_count for start in starts)
        return Size(shards=len(starts), records=records)

    def write(self, uid: str, entries: bytes, *, files: Sequence[FileRef], kafka_topic: str = "") -> Size:
        """Write an index in pieces, unless one is there; answers what stands, which is that of the first plan."""
        if not entries:
            return Size(shards=0, records=0)
        own = uuid.uuid4().hex[:12]
        new_index, new_files = f"{index_key(uid)}:{own}", f"{files_key(uid)}:{own}"
        named = [(str(i), file.model_dump_json()) for i, file in enumerate(files)]
        if kafka_topic:
            named = [(KAFKA, kafka_topic)]
        with translated():
            for start in range(0, len(named), FILES_PER_WRITE):
                self._client.hset(new_files, mapping=dict(named[start : start + FILES_PER_WRITE]))
                self._client.expire(new_files, UNFINISHED_TTL_SECONDS)
            for start in range(0, len(entries), BYTES_PER_WRITE):
                self._client.append(new_index, entries[start : start + BYTES_PER_WRITE])
                self._client.expire(new_index, UNFINISHED_TTL_SECONDS)
            keys = [job_key(uid), index_key(uid), files_key(uid), new_index, new_files]
            self._write(keys=keys, args=[])
        return self.size(uid) or Size(shards=0, records=0)

    def shard(self, uid: str, index: int) -> Shard | None:
        """Answer one shard; None where there is no index or no such entry."""
        start = index * ENTRY_BYTES
        with translated():
            entry = self._bytes("GETRANGE", index_key(uid), start, start + ENTRY_BYTES - 1)
            topic: Any = self._client.hget(files_key(uid), KAFKA)
        if len(entry) != ENTRY_BYTES:
            return None
        return shard_at(index, unpack(entry), files=_Files(self._client, uid), kafka_topic=topic or "")

    def shards(self, uid: str, indices: Iterable[int]) -> Iterator[Shard]:
        """Answer these shards in their order, with few questions to Redis."""
        with translated():
            entries = self._bytes("GET", index_key(uid))
            topic: Any = self._client.hget(files_key(uid), KAFKA)
        files = _Files(self._client, uid)
        for index in indices:
            entry = entries[index * ENTRY_BYTES : (index + 1) * ENTRY_BYTES]
            yield shard_at(index, unpack(entry), files=files, kafka_topic=topic or "")

    def _bytes(self, *command: str | int) -> bytes:
        # The client turns answers into text, which these are not.
        answer: Any = self._client.execute_command(*command, NEVER_DECODE=True)  # type: ignore[no-untyped-call] # redis
        return answer or b""


class _Files(Sequence[FileRef]):
    """The files of an index, each asked for when it is needed: an input may have thousands, and a shard has one."""

    def __init__(self, client: redis.Redis, uid: str) -> None:
        self._client = client
        self._key = files_key(uid)
        self._known: dict[int, FileRef] = {}

    @overload
    def __getitem__(self, at: int) -> FileRef: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[FileRef]: ...
    def __getitem__(self, at: int | slice) -> FileRef | Sequence[FileRef]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if at not in self._known:
            with translated():
                text: Any = self._client.hget(self._key, str(at))
            if text is None:
                # Redis lost it, or the job was deleted a moment ago; the next look at the ledger tells which.
                raise LedgerUnavailable(f"the ledger has an index and not its file {at}")
            self._known = {at: FileRef.model_validate_json(text)}
        return self._known[at]

    def __len__(self) -> int:
        with translated():
            return int(self._client.hlen(self._key))
