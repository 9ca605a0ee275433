"""JSON lines by byte offset: a large file is cut into shards in one pass, and a shard reads only its own bytes.

Blank lines are no records, but they count as lines, so that a line number is the one that an editor shows.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Never

from millrace_contracts.nesting import MAX_NESTING, is_too_deep
from millrace_worker.errors import InputUnusable

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""A longer line is a malformed record: one line must never fill the memory of a worker."""

_PIECE_BYTES: Final = 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A run of consecutive lines: where it is, and how many records it has."""

    first_line: int
    offset_bytes: int
    length_bytes: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank; `text` is cut at MAX_LINE_BYTES."""

    number: int
    text: bytes
    is_cut: bool = False


def cut(file: Path, *, records_per_extent: int) -> Iterator[Extent]:
    """Cut a file into extents of so many records in one streaming pass; every line is in exactly one of them."""
    with file.open("rb") as stream:
        _refuse_binary(stream.read(4096), file)
        stream.seek(0)
        first_line, start, end, records = 1, 0, 0, 0
        for number, (length, is_blank) in enumerate(_lines(stream), start=1):
            end += length
            records += not is_blank
            if records == records_per_extent:
                yield Extent(first_line=first_line, offset_bytes=start, length_bytes=end - start, record_count=records)
                first_line, start, records = number + 1, end, 0
        if records:
            yield Extent(first_line=first_line, offset_bytes=start, length_bytes=end - start, record_count=records)


def read(file: Path, extent: Extent) -> Iterator[Line]:
    """Read the lines of an extent that are not blank."""
    with file.open("rb") as stream:
        stream.seek(extent.offset_bytes)
        left, number = extent.length_bytes, extent.first_line - 1
        while left > 0:
            number += 1
            text = stream.readline(min(left, MAX_LINE_BYTES))
            if not text:
                return
            left -= len(text)
            is_cut = not text.endswith(b"\n") and left > 0
            if is_cut:
                left -= _skip_line(stream, left)
            if text.strip():
                yield Line(number, text, is_cut)


def parse(text: bytes) -> dict[str, Any]:
    """Parse a line, or raise ValueError with what is wrong with it."""
    try:
        # With its line end, a line that is cut off would be reported at column 1 of the next one.
        line = text.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n")
        if is_too_deep(line):
            raise ValueError(f"the line is nested deeper than {MAX_NESTING} levels")
        value = json.loads(line, parse_constant=_refuse_constant)
        if _SURROGATE.search(line):
            # Nobody could write a result or an error about it, and its neighbours would wait with it.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is not JSON: {error.msg} at column {error.colno}") from error
    except UnicodeEncodeError as error:
        raise ValueError("the line holds half of a surrogate pair, which is no text") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the line is not UTF-8: {error.reason} at byte {error.start + 1}") from error
    if not isinstance(value, dict):
        raise ValueError(f"the line is not a JSON object but {_kind(value)}")  # noqa: TRY004 - one error for one cause
    return value


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bool]]:
    """Pass over the lines in bounded pieces: their length, and whether they are blank."""
    length, is_blank = 0, True
    while piece := stream.readline(_PIECE_BYTES):
        length += len(piece)
        is_blank = is_blank and not piece.strip()
        if piece.endswith(b"\n"):
            yield length, is_blank
            length, is_blank = 0, True
    if length:
        yield length, is_blank


def _skip_line(stream: BinaryIO, limit: int) -> int:
    skipped = 0
    while skipped < limit:
        piece = stream.readline(min(limit - skipped, _PIECE_BYTES))
        skipped += len(piece)
        if not piece or piece.endswith(b"\n"):
            break
    return skipped


def _refuse_binary(beginning: bytes, file: Path) -> None:
    if b"\0" in beginning or beginning.startswith((b"\x1f\x8b", b"PAR1")):
        raise InputUnusable(f'"{file.name}" is not text; write one JSON object a line, uncompressed')


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"the line is not JSON: {name} is not a number there")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a string"
    return "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"
