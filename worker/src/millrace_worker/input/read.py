"""Read the records of a shard, from wherever it lies."""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Any

from millrace_contracts.inputs import FileRef, FileShard, InlineShard, KafkaShard, Reading, RecordFormat, Shard
from millrace_contracts.results import RecordFailure
from millrace_worker.errors import InputChanged, InputUnusable
from millrace_worker.input.claim_files import changed
from millrace_worker.input.columns import ColumnBatch
from millrace_worker.input.csv_rows import parse_rows
from millrace_worker.input.header import header_of
from millrace_worker.input.index import MAX_SHARD_BYTES
from millrace_worker.input.jsonl import MAX_LINE_BYTES, parse_lines, parse_together
from millrace_worker.input.packing import library_missing
from millrace_worker.input.record import Parsed, Record, key_of, name_all, name_together
from millrace_worker.input.sources import Sources
from millrace_worker.input.store import where_is


def read_shard(
    shard: Shard, reading: Reading, *, sources: Sources, texts: Collection[str] = ()
) -> list[Record | RecordFailure]:
    """Read the records of a shard in their order; one that is not usable is a failure of its own.

    `texts` are fields that are text, whatever that looks like: CSV itself does not tell text from numbers.
    """
    source, key_field = shard.source, reading.key_field
    match source:
        case InlineShard():
            lines = range(shard.first_line, shard.first_line + len(source.records))
            if named := name_together(source.records, lines, origin="inline", key_field=key_field):
                return named
            parsed: Sequence[Parsed] = [(line, one, None) for line, one in zip(lines, source.records, strict=True)]
            return name_all(parsed, origin="inline", key_field=key_field)
        case KafkaShard():
            parsed, origin = _messages(source, sources), f"{source.topic}-{source.partition}"
            # Kafka counts from 0.
            return name_all(parsed, origin=origin, key_field=key_field, first=0)
        case FileShard():
            return _of_file(shard, source, reading, sources, texts)


def read_columns(shard: Shard, reading: Reading, names: Sequence[str], *, sources: Sources) -> ColumnBatch | None:
    """Read some fields of a shard as arrays; None where the source has none, or a row is in any way unusual."""
    source = shard.source
    if not isinstance(source, FileShard) or reading.format is not RecordFormat.PARQUET:
        return None
    table = _table(shard, source, sources)
    columns = {}
    for name in names:
        array = _arrow().dense(table.column(name)) if name in table.column_names else None
        if array is None:
            return None
        columns[name] = array
    lines = range(shard.first_line, shard.first_line + table.num_rows)
    keys = _keys(table, lines, origin=name_of(source.file), key_field=reading.key_field)
    if keys is None:
        return None

    def value_at(position: int) -> Any:
        ((_, value, _),) = _arrow().rows_of(table.slice(position, 1), first_row=lines[position])
        return value

    return ColumnBatch(keys=keys, lines=lines, columns=columns, value_at=value_at)


def name_of(file: FileRef) -> str:
    """Answer what the records of a file are named by."""
    return file.name or PurePosixPath(file.uri.partition("?")[0]).name


def _of_file(
    shard: Shard, source: FileShard, reading: Reading, sources: Sources, texts: Collection[str]
) -> list[Record | RecordFailure]:
    origin, key_field = name_of(source.file), reading.key_field
    match reading.format:
        case RecordFormat.PARQUET:
            parsed = _arrow().rows_of(_table(shard, source, sources), first_row=shard.first_line)
        case RecordFormat.CSV:
            header = header_of(source.file, reading, sources)
            parsed = parse_rows(
                _bytes(source, reading, sources),
                first_line=shard.first_line,
                record_count=shard.record_count,
                header=header,
                delimiter=reading.csv_delimiter,
                texts=texts,
            )
        case RecordFormat.JSONL:
            data = _bytes(source, reading, sources)
            values = parse_together(data)
            if values is not None and len(values) == shard.record_count:
                lines = range(shard.first_line, shard.first_line + len(values))
                if named := name_together(values, lines, origin=origin, key_field=key_field):
                    return named
            parsed = parse_lines(data, first_line=shard.first_line)
    if len(parsed) != shard.record_count:
        raise InputChanged(
            f"{where_is(source.file)} changed while the job ran: from line {shard.first_line} on there were "
            f"{shard.record_count} records and are {len(parsed)}; create the job anew"
        )
    return name_all(parsed, origin=origin, key_field=key_field)


def _bytes(source: FileShard, reading: Reading, sources: Sources) -> bytes:
    # One record that is longer than a shard may be stands alone; its beginning shows that it is too long.
    length = source.length if source.length <= MAX_SHARD_BYTES else MAX_LINE_BYTES + 1
    data = sources.read(source.file, reading.compression, offset=source.offset, length=length)
    if len(data) < length:
        raise changed(source.file)
    return data


def _messages(source: KafkaShard, sources: Sources) -> Sequence[Parsed]:
    # The image of a pool whose jobs use no Kafka need not have its client.
    try:
        from millrace_worker.input.kafka_range import read_messages  # noqa: PLC0415 - optional
    except ImportError as error:
        raise InputUnusable(
            "the image of this pool has no Kafka client; install millrace-worker[kafka] in it"
        ) from error
    return read_messages(source, sources)


def _table(shard: Shard, source: FileShard, sources: Sources) -> Any:
    _arrow()
    from millrace_worker.input.parquet import read_table  # noqa: PLC0415 - optional

    table = read_table(source, sources)
    if table.num_rows != shard.record_count:
        raise changed(source.file)
    return table


def _arrow() -> Any:
    # The image of a pool whose jobs read no Parquet need not have it.
    try:
        from millrace_worker.input import arrow_values  # noqa: PLC0415 - optional
    except ImportError as error:
        raise library_missing("Parquet") from error
    return arrow_values


def _keys(table: Any, lines: range, *, origin: str, key_field: str) -> list[str] | None:
    """Answer the names of all rows, or None where one has none of its own."""
    if not key_field:
        return [f"{origin}:{line}" for line in lines]
    if key_field not in table.column_names:
        return None
    values = _arrow().values_of(table.column(key_field))
    keys = values if set(map(type, values)) == {str} else map(key_of, values)
    named = [key for key in keys if key is not None]
    return named if len(set(named)) == len(values) else None
