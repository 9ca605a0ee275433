"""All places of input files behind one door, and what this process remembers of the files that it reads.

A packed file cannot be entered in its middle. The shards of a job come mostly in order, so the place where one shard
ended is kept: the next goes on from there, and a file is unpacked about once in each process, not once for each shard.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from millrace_contracts.inputs import (
    ClaimInput,
    Compression,
    FileRef,
    HttpInput,
    InlineInput,
    Input,
    KafkaInput,
    ObjectStoreInput,
)
from millrace_worker.errors import InputUnusable, Unavailable
from millrace_worker.input.claim_files import ClaimFiles
from millrace_worker.input.packing import compression_of, unpacked
from millrace_worker.input.store import Store, Stream
from millrace_worker.kafka_settings import KafkaSettings, read_kafka_settings
from millrace_worker.storage.claims import Claims

MAX_CURSORS: Final = 8
"""Open places in files: a process works on few jobs at a time, and each cursor holds some megabytes."""

_MAX_REMEMBERED: Final = 256
_SKIP_BYTES: Final = 1024 * 1024

T = TypeVar("T")


class Closable(Protocol):
    """Something that holds what must be given back."""

    def close(self) -> None:
        """Give it back."""


class CursorKey(NamedTuple):
    """What a cursor belongs to: the same name with another version is another file."""

    uri: str
    version: str
    kind: str


class Cursor:
    """A place in the stream of a file."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.position = 0

    def skip_to(self, offset: int) -> None:
        """Go forward to a place; the stream may end before."""
        while self.position < offset and (piece := self._stream.read(min(_SKIP_BYTES, offset - self.position))):
            self.position += len(piece)

    def read(self, length: int) -> bytes:
        """Answer the next bytes, fewer only where the stream ends."""
        pieces = []
        while length > 0 and (piece := self._stream.read(length)):
            pieces.append(piece)
            length -= len(piece)
            self.position += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class Sources:
    """The claims, the object store and the web as this process reads them."""

    def __init__(self, claims: Claims, *, kafka: Callable[[], KafkaSettings] = read_kafka_settings) -> None:
        self._claims = ClaimFiles(claims)
        self._kafka = kafka
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._cursors: OrderedDict[CursorKey, list[Any]] = OrderedDict()
        self._remembered: OrderedDict[CursorKey, Any] = OrderedDict()

    @cached_property
    def kafka(self) -> KafkaSettings:
        """How to reach Kafka, or InputUnusable where this process is told of none."""
        settings = self._kafka()
        if not settings.is_configured:
            raise InputUnusable(
                "this pool knows no Kafka: set kafka in the chart's values (MILLRACE_KAFKA_BOOTSTRAP_SERVERS), "
                "or choose another input"
            )
        return settings

    def files(self, source: Input) -> list[FileRef]:
        """List the files of an input as they are now, or say what is missing."""
        self._notice_fork()
        match source:
            case ClaimInput():
                return self._claims.files(source)
            case ObjectStoreInput():
                return list(self._objects.files(source))
            case HttpInput():
                return list(self._web.files(source))
            case InlineInput() | KafkaInput():
                raise InputUnusable(f"an input of kind {source.kind} has no files")

    def store(self, file: FileRef) -> Store:
        """Answer the place of a file."""
        self._notice_fork()
        if file.uri.startswith("claim:"):
            return self._claims
        store: Store = self._objects if file.uri.startswith("s3://") else self._web
        return store

    def open(self, file: FileRef, compression: Compression) -> Stream:
        """Open what is in a file at its beginning, for whoever reads all of it."""
        return unpacked(self.store(file).stream(file), compression_of(file, compression), file)

    def read(self, file: FileRef, compression: Compression, *, offset: int, length: int) -> bytes:
        """Answer a range of what is in a file, fewer bytes only where it ends."""
        packing, store = compression_of(file, compression), self.store(file)
        if packing is Compression.NONE and store.knows_ranges(file):
            return store.read_range(file, offset, length)
        key = CursorKey(file.uri, file.version, packing)
        # A place that rests has read ahead, and would go on with what is no more.
        store.see_that_it_is_the_same(file)

        def read(cursor: Cursor) -> bytes:
            cursor.skip_to(offset)
            return cursor.read(length)

        return self.with_cursor(
            key, position=offset, make=lambda: Cursor(unpacked(store.stream(file), packing, file)), use=read
        )

    def with_cursor(self, key: CursorKey, *, position: int, make: Callable[[], Any], use: Callable[[Any], T]) -> T:
        """Lend the cursor that stands nearest before a place, or a new one; it rests where its user leaves it.

        What went wrong with a cursor that rested may be its age: a server hung up. That is tried again from the start.
        """
        self._notice_fork()
        cursor = self._nearest(key, position)
        if cursor is not None:
            try:
                answer = use(cursor)
            except Unavailable:
                cursor.close()
            except BaseException:
                cursor.close()
                raise
            else:
                self._rest(key, cursor)
                return answer
        cursor = make()
        try:
            answer = use(cursor)
        except BaseException:
            cursor.close()
            raise
        self._rest(key, cursor)
        return answer

    def remember(self, file: FileRef, kind: str, make: Callable[[], T]) -> T:
        """Answer what was found in a version of a file before, such as its header."""
        key = CursorKey(file.uri, file.version, kind)
        if not file.version:
            # Nobody could tell whether it is still so.
            return make()
        known: T | None = self._remembered.get(key)
        if known is not None:
            return known
        made = make()
        with self._lock:
            self._remembered[key] = made
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return made

    def close(self) -> None:
        """Give all connections back."""
        for cursors in self._cursors.values():
            for cursor in cursors:
                cursor.close()
        self._cursors.clear()
        if "_web" in self.__dict__:
            self._web.close()
            del self._web

    def _nearest(self, key: CursorKey, position: int) -> Any:
        with self._lock:
            resting = self._cursors.get(key, [])
            before = [cursor for cursor in resting if cursor.position <= position]
            if not before:
                return None
            best = max(before, key=lambda cursor: cursor.position)
            resting.remove(best)
            if not resting:
                del self._cursors[key]
            return best

    def _rest(self, key: CursorKey, cursor: Any) -> None:
        if not key.version:
            # Nobody could tell whether the next shard is of the same file.
            cursor.close()
            return
        with self._lock:
            self._cursors.setdefault(key, []).append(cursor)
            self._cursors.move_to_end(key)
            while sum(map(len, self._cursors.values())) > MAX_CURSORS:
                oldest, cursors = next(iter(self._cursors.items()))
                cursors.pop(0).close()
                if not cursors:
                    del self._cursors[oldest]

    def _notice_fork(self) -> None:
        """Forget what belongs to the parent process; closing it would hang up for the parent too."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._cursors = OrderedDict()
        for name in ("_objects", "_web"):
            self.__dict__.pop(name, None)

    @cached_property
    def _objects(self) -> Any:
        # The image of a pool whose jobs use no object store need not have its client.
        try:
            from millrace_worker.input.objects import ObjectFiles  # noqa: PLC0415 - optional
        except ImportError as error:
            raise InputUnusable(
                "the image of this pool has no client of object stores; install millrace-worker[object-store] in it"
            ) from error
        return ObjectFiles()

    @cached_property
    def _web(self) -> Any:
        from millrace_worker.input.web_files import WebFiles  # noqa: PLC0415 - most workers never need it

        return WebFiles()
