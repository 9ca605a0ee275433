"""Plan a job's input: where each shard lies, found without keeping or parsing what is in it.

Files of lines are passed over once; of Parquet only the footer is read, of Kafka only where partitions begin and end.
Shards never span two files. The same input gives the same index. Records that stand in the job itself have no place to
be read from later, so their shards lie with the index.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from millrace_contracts.inputs import (
    Compression,
    FileRef,
    FileShard,
    InlineInput,
    InlineShard,
    Input,
    KafkaInput,
    KafkaShard,
    Reading,
    RecordFormat,
    Shard,
)
from millrace_contracts.shard_index import ENTRY_BYTES, Extent, pack, unpack
from millrace_worker.errors import InputHasNoRecords, InputUnusable
from millrace_worker.input.csv_rows import refuse_delimiter
from millrace_worker.input.header import header_of
from millrace_worker.input.lines import BYTE_ORDER_MARK, QuotedScanner, Scanner, Spans
from millrace_worker.input.packing import compression_of, library_missing
from millrace_worker.input.sources import Sources
from millrace_worker.input.store import PIECE_BYTES, Stream, where_is

MAX_SHARDS: Final = 100_000
"""Each is a message, a mark in the ledger and a part of the results."""

MAX_SHARD_BYTES: Final = 64 * 1024 * 1024
"""What a worker has in memory of the input. A record that is longer stands alone."""

FILES_AT_ONCE: Final = 4
"""Each has some megabytes in memory."""

_PACKED: Final = {Compression.GZIP: b"\x1f\x8b", Compression.ZSTD: b"\x28\xb5\x2f\xfd"}
_BINARY: Final = (b"PAR1", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
_LOOKED_AT_BYTES: Final = 4096
_STRANGE_BYTES: Final = 3
"""So many prove nothing, however short the file is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputIndex:
    """All shards of an input; `entries` are theirs in order, packed as the ledger keeps them."""

    files: list[FileRef]
    entries: bytes
    record_total: int
    kafka_topic: str = ""
    inline: Sequence[str] = ()
    """The records of each shard as a JSON list, where they stood in the job itself."""

    @property
    def shards_total(self) -> int:
        """Count the shards."""
        return len(self.entries) // ENTRY_BYTES

    @property
    def extents(self) -> Iterator[Extent]:
        """Answer the shards one by one."""
        return (unpack(self.entries[at : at + ENTRY_BYTES]) for at in range(0, len(self.entries), ENTRY_BYTES))


def index_input(source: Input, reading: Reading, *, records_per_task: int, sources: Sources) -> InputIndex:
    """Cut an input into shards, or raise what is wrong with it."""
    files: list[FileRef] = []
    inline: list[str] = []
    extents: Iterable[Extent]
    if isinstance(source, InlineInput):
        cut = [source.records[at : at + records_per_task] for at in range(0, len(source.records), records_per_task)]
        inline = [json.dumps(records) for records in cut]
        extents = _of_records(cut, size=records_per_task)
    elif isinstance(source, KafkaInput):
        extents = _of_topic(source, records_per_task, sources)
    else:
        files = sources.files(source)
        extents = _of_files(files, reading, records_per_task, sources)
    entries, total = bytearray(), 0
    for count, extent in enumerate(extents):
        if count == MAX_SHARDS:
            raise InputUnusable(
                f"the input makes more than {MAX_SHARDS:,} tasks of {records_per_task} records or "
                f"{MAX_SHARD_BYTES // 2**20} MiB; raise spec.batching.recordsPerTask, or make several jobs of it"
            )
        entries += pack((extent,))
        total += extent.record_count
    if not total:
        raise InputHasNoRecords(_nothing_in(source, files))
    topic = source.topic if isinstance(source, KafkaInput) else ""
    return InputIndex(files=files, entries=bytes(entries), record_total=total, kafka_topic=topic, inline=inline)


def shard_at(
    index: int,
    extent: Extent,
    *,
    files: Sequence[FileRef] = (),
    kafka_topic: str = "",
    inline: Sequence[str] | None = None,
) -> Shard:
    """Make the shard of an entry; `inline` are the records of each shard, where they lie with the index."""
    place: FileShard | KafkaShard | InlineShard
    if inline is not None:
        place = InlineShard(records=json.loads(inline[extent.file_number]))
    elif kafka_topic:
        place = KafkaShard(
            topic=kafka_topic,
            partition=extent.file_number,
            start_offset=extent.offset,
            end_offset=extent.offset + extent.length,
        )
    else:
        place = FileShard(file=files[extent.file_number], offset=extent.offset, length=extent.length)
    return Shard(index=index, first_line=extent.first_line, record_count=extent.record_count, source=place)


def _of_records(cut: Sequence[Sequence[object]], *, size: int) -> Iterator[Extent]:
    for number, records in enumerate(cut):
        first = number * size
        yield Extent(number, len(records), first + 1, first, len(records))


def _of_topic(source: KafkaInput, records_per_task: int, sources: Sources) -> Iterator[Extent]:
    # The image of a pool whose jobs use no Kafka need not have its client.
    try:
        from millrace_worker.input.kafka_range import index_topic  # noqa: PLC0415 - optional
    except ImportError as error:
        raise InputUnusable(
            "the image of this pool has no Kafka client; install millrace-worker[kafka] in it"
        ) from error
    return index_topic(source, records_per_task=records_per_task, settings=sources.kafka)


def _of_files(files: Sequence[FileRef], reading: Reading, size: int, sources: Sources) -> Iterator[Extent]:
    def of_file(number: int) -> Iterator[Extent]:
        return (_of_rows if reading.format is RecordFormat.PARQUET else _of_lines)(
            files[number], number, reading, size, sources
        )

    if len(files) == 1 or files[0].uri.startswith("claim:"):
        for number in range(len(files)):
            yield from of_file(number)
        return
    # Of many small files it is the round trips that count.
    with ThreadPoolExecutor(FILES_AT_ONCE, "index") as threads:
        try:
            for extents in threads.map(lambda number: list(of_file(number)), range(len(files))):
                yield from extents
        finally:
            threads.shutdown(cancel_futures=True)


def _of_rows(file: FileRef, number: int, reading: Reading, size: int, sources: Sources) -> Iterator[Extent]:
    if reading.compression not in {Compression.AUTO, Compression.NONE}:
        raise InputUnusable("Parquet files are packed inside; leave out compression")
    try:
        from millrace_worker.input.parquet import footer_of  # noqa: PLC0415 - optional
    except ImportError as error:
        raise library_missing("Parquet") from error
    footer = footer_of(file, sources)
    rows = max(1, min(size, MAX_SHARD_BYTES // footer.bytes_per_row))
    for first in range(0, footer.row_count, rows):
        count = min(rows, footer.row_count - first)
        yield Extent(number, count, first + 1, first, count)


def _of_lines(file: FileRef, number: int, reading: Reading, size: int, sources: Sources) -> Iterator[Extent]:
    cutter = _Cutter(number, size)
    stream = sources.open(file, reading.compression)
    try:
        scanner: Scanner | None = None
        for piece in _pieces(stream):
            if scanner is None:
                _refuse_binary(piece, file, reading)
                scanner, begin = _scanner(file, reading, piece, sources)
                spans = scanner.feed(piece[begin:])
            else:
                spans = scanner.feed(piece)
            yield from cutter.add(spans)
        if scanner is not None:
            yield from cutter.add(scanner.finish())
        yield from cutter.finish()
    finally:
        stream.close()


def _scanner(file: FileRef, reading: Reading, beginning: bytes, sources: Sources) -> tuple[Scanner, int]:
    """Answer what passes over the file, and where its records begin."""
    if reading.format is RecordFormat.JSONL:
        mark = len(BYTE_ORDER_MARK) if beginning.startswith(BYTE_ORDER_MARK) else 0
        return Scanner(offset=mark), mark
    refuse_delimiter(reading.csv_delimiter)
    header = header_of(file, reading, sources)
    scanner = QuotedScanner(delimiter=reading.csv_delimiter, offset=header.end, line=header.next_line)
    return scanner, header.end


def _pieces(stream: Stream) -> Iterator[bytes]:
    """Answer large pieces, whatever the stream gives at once."""
    waiting, length = [], 0
    while piece := stream.read(PIECE_BYTES - length):
        waiting.append(piece)
        length += len(piece)
        if length >= PIECE_BYTES:
            yield waiting[0] if len(waiting) == 1 else b"".join(waiting)
            waiting, length = [], 0
    if length:
        yield b"".join(waiting)


class _Cutter:
    """Puts consecutive records together until a shard is full."""

    def __init__(self, file_number: int, size: int) -> None:
        self._file_number = file_number
        self._size = size
        self._count = self._start = self._end = self._line = 0

    def add(self, spans: Spans) -> Iterator[Extent]:
        """Answer the shards that more records fill."""
        at, total = 0, len(spans.starts)
        while at < total:
            if self._count == 0:
                self._start, self._line = int(spans.starts[at]), int(spans.lines[at])
            wanted = min(self._size - self._count, total - at)
            limit = self._start + MAX_SHARD_BYTES
            taken = int(spans.ends[at : at + wanted].searchsorted(limit, side="right"))
            if taken == 0 and self._count == 0:
                taken = 1
            if taken:
                self._count += taken
                self._end = int(spans.ends[at + taken - 1])
                at += taken
            if taken < wanted or self._count == self._size:
                yield from self.finish()

    def finish(self) -> Iterator[Extent]:
        """Answer the shard that has begun, if one has."""
        if self._count:
            yield Extent(self._file_number, self._count, self._line, self._start, self._end - self._start)
        self._count = 0


def _refuse_binary(beginning: bytes, file: FileRef, reading: Reading) -> None:
    is_unpacked = compression_of(file, reading.compression) is not Compression.NONE
    for packing, mark in _PACKED.items():
        if beginning.startswith(mark):
            raise InputUnusable(
                f"{where_is(file)} is packed twice; correct it"
                if is_unpacked
                else f"{where_is(file)} is packed, and neither its name nor compression says so (with Content-Encoding "
                f"a server may have done it); correct compression: {packing}"
            )
    looked_at = beginning[:_LOOKED_AT_BYTES]
    # A few such bytes concern their own lines; among many, as in UTF-16 or an image, there are no lines.
    strange = looked_at.count(0) and looked_at.count(0) + looked_at.decode(errors="replace").count("\ufffd")
    if strange > max(_STRANGE_BYTES, len(looked_at) // 10) or beginning.startswith(_BINARY):
        raise InputUnusable(
            f"{where_is(file)} is not text in UTF-8; correct format or compression, or write one record a line in UTF-8"
        )


def _nothing_in(source: Input, files: Sequence[FileRef]) -> str:
    if isinstance(source, InlineInput):
        return "the input has no record; put at least one into spec.input.inline.records"
    if isinstance(source, KafkaInput):
        return f'topic "{source.topic}" has no record from start to end; correct start or end'
    where = where_is(files[0]) if len(files) == 1 else f"all {len(files)} files of the input"
    verb = "has" if len(files) == 1 else "have"
    return f"{where} {verb} no record: only blank lines, a header, or nothing at all; put one record a line"
