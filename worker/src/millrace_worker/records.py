"""The records of a shard: read, named, and each either usable or failed by itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import FileShard, InlineShard, Shard
from millrace_contracts.results import ErrorDetail, RecordFailure
from millrace_worker.errors import InputUnusable
from millrace_worker.storage import jsonl
from millrace_worker.storage.claims import Claims, input_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A JSON object with its name and where it stood."""

    key: str
    line: int
    value: Mapping[str, Any]


def read_records(shard: Shard, *, key_field: str, claims: Claims) -> list[Record | RecordFailure]:
    """Read the records of a shard in their order; one that is not usable is a failure of its own."""
    source = shard.source
    if isinstance(source, InlineShard):
        numbered: Iterable[tuple[int, Any, str]] = (
            (shard.first_line + i, record, "") for i, record in enumerate(source.records)
        )
        return list(_named(numbered, origin="inline", key_field=key_field))
    if not isinstance(source, FileShard):
        raise InputUnusable("this version reads files on claims")
    claim, path = _on_claim(source)
    file = claims.input_file(claim, path)
    try:
        records = list(_named(_parsed(file, shard, source), origin=PurePosixPath(path).name, key_field=key_field))
    except OSError as error:
        raise input_error(error, claim=claim, path=path) from error
    if len(records) != shard.record_count:
        raise InputUnusable(
            f'"{path}" on claim "{claim}" changed while the job ran: from line {shard.first_line} '
            f"on there were {shard.record_count} records and are {len(records)}; create the job anew"
        )
    return records


def fail(record: Record, code: RecordError, message: str, *, attempts: int = 1) -> RecordFailure:
    """Fail a record for a reason."""
    detail = ErrorDetail(code=code, message=message, attempts=attempts)
    return RecordFailure(key=record.key, line=record.line, error=detail, input=record.value)


def _on_claim(source: FileShard) -> tuple[str, str]:
    if not source.file.uri.startswith("claim:"):
        raise InputUnusable("this version reads files on claims")
    claim, _, path = source.file.uri.removeprefix("claim:").partition("/")
    return claim, path


def _parsed(file: Path, shard: Shard, source: FileShard) -> Iterator[tuple[int, Any, str]]:
    """Answer line number, value and what is wrong; a malformed line keeps its text as value."""
    extent = jsonl.Extent(
        first_line=shard.first_line,
        offset_bytes=source.offset,
        length_bytes=source.length,
        record_count=shard.record_count,
    )
    for line in jsonl.read(file, extent):
        if line.is_cut:
            shown = line.text[:1024].decode(errors="replace")
            yield line.number, shown, f"the line is longer than {jsonl.MAX_LINE_BYTES // 2**20} MiB"
            continue
        try:
            yield line.number, jsonl.parse(line.text), ""
        except ValueError as error:
            yield line.number, line.text.decode(errors="replace").rstrip("\r\n"), str(error)


def _named(
    numbered: Iterable[tuple[int, Any, str]], *, origin: str, key_field: str
) -> Iterator[Record | RecordFailure]:
    lines_by_key: dict[str, int] = {}
    for line, value, problem in numbered:
        # The position is unique, so it names what has no usable name of its own.
        position = f"{origin}:{line}"
        if problem:
            yield _failure(position, line, RecordError.MALFORMED_JSON, problem, value)
            continue
        key = position if not key_field else _text(value.get(key_field))
        if key is None:
            message = f'"{key_field}", which names the record, is missing or is neither text nor a number'
            yield _failure(position, line, RecordError.INVALID_RECORD, message, value)
        elif key in lines_by_key:
            message = f'the name "{key}" was used on line {lines_by_key[key]} before'
            yield _failure(position, line, RecordError.DUPLICATE_KEY, message, value)
        else:
            lines_by_key[key] = line
            yield Record(key=key, line=line, value=value)


def _failure(key: str, line: int, code: RecordError, message: str, value: Any) -> RecordFailure:
    return RecordFailure(key=key, line=line, error=ErrorDetail(code=code, message=message), input=value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)
