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

INLINE: Final = "inline"
"""Field of the files that is there where they are no files but the records of each shard."""

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

    def write(
        self,
        uid: str,
        entries: bytes,
        *,
        files: Sequence[FileRef] = (),
        kafka_topic: str = "",
        inline: Sequence[str] = (),
    ) -> Size:
        """Write an index in pieces, unless one is there; answers what stands, which is that of the first plan."""
        if not entries:
            return Size(shards=0, records=0)
        own = uuid.uuid4().hex[:12]
        new_index, new_files = f"{index_key(uid)}:{own}", f"{files_key(uid)}:{own}"
        named = _named(files, kafka_topic=kafka_topic, inline=inline)
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
        if len(entry) != ENTRY_BYTES:
            return None
        return _Places(self._client, uid).shard(index, entry)

    def shards(self, uid: str, indices: Iterable[int]) -> Iterator[Shard]:
        """Answer these shards in their order, with few questions to Redis."""
        with translated():
            entries = self._bytes("GET", index_key(uid))
        places = _Places(self._client, uid)
        for index in indices:
            yield places.shard(index, entries[index * ENTRY_BYTES : (index + 1) * ENTRY_BYTES])

    def _bytes(self, *command: str | int) -> bytes:
        # The client turns answers into text, which these are not.
        answer: Any = self._client.execute_command(*command, NEVER_DECODE=True)  # type: ignore[no-untyped-call] # redis
        return answer or b""


def _named(files: Sequence[FileRef], *, kafka_topic: str, inline: Sequence[str]) -> list[tuple[str, str]]:
    """Answer the fields of the hash beside the index."""
    if inline:
        return [(INLINE, str(len(inline))), *((str(i), records) for i, records in enumerate(inline))]
    if kafka_topic:
        return [(KAFKA, kafka_topic)]
    return [(str(i), file.model_dump_json()) for i, file in enumerate(files)]


class _Places:
    """What the entries of an index refer to."""

    def __init__(self, client: redis.Redis, uid: str) -> None:
        with translated():
            marks: Any = client.hmget(files_key(uid), [KAFKA, INLINE])
        topic, inline = marks
        self._topic = str(topic or "")
        self._texts = _Texts(client, uid)
        self._is_inline = inline is not None
        self._files = _Files(self._texts)

    def shard(self, index: int, entry: bytes) -> Shard:
        inline = self._texts if self._is_inline else None
        return shard_at(index, unpack(entry), files=self._files, kafka_topic=self._topic, inline=inline)


class _Texts(Sequence[str]):
    """What stands beside an index, each asked for when it is needed: there may be thousands, and a shard has one."""

    def __init__(self, client: redis.Redis, uid: str) -> None:
        self._client = client
        self._key = files_key(uid)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        with translated():
            text: Any = self._client.hget(self._key, str(at))
        if text is None:
            # Redis lost it, or the job was deleted a moment ago; the next look at the ledger tells which.
            raise LedgerUnavailable(f"the ledger has an index and not what its entry {at} is about")
        return str(text)

    def __len__(self) -> int:
        with translated():
            return int(self._client.hlen(self._key))


class _Files(Sequence[FileRef]):
    """The files of an index; the last one is remembered, because the shards of a file stand together."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._known: dict[int, FileRef] = {}

    @overload
    def __getitem__(self, at: int) -> FileRef: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[FileRef]: ...
    def __getitem__(self, at: int | slice) -> FileRef | Sequence[FileRef]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if at not in self._known:
            self._known = {at: FileRef.model_validate_json(self._texts[at])}
        return self._known[at]

    def __len__(self) -> int:
        return len(self._texts)
