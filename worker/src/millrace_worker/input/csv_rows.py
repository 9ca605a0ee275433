"""CSV after RFC 4180, with a header line.

A cell that is a JSON number, boolean, null, list or object stands for that value, any other for its text, and an empty
one for a field that is not there. Where a field is known to be text, each cell stands for its text, also an empty one.
"""

import csv
import io
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import FileRef
from millrace_worker.errors import InputUnusable
from millrace_worker.input.jsonl import MAX_LINE_BYTES, SHOWN_BYTES, is_plain, parse_cell, too_long
from millrace_worker.input.lines import BYTE_ORDER_MARK, QuotedScanner, Spans
from millrace_worker.input.record import Parsed, Problem
from millrace_worker.input.store import where_is

MAX_HEADER_BYTES: Final = 1024 * 1024

_JSON_BEGINS: Final = frozenset("-0123456789tfn[{ ")


class Header(NamedTuple):
    """The names of the fields, and where the rows begin."""

    names: tuple[str, ...]
    end: int
    next_line: int


class Columns(NamedTuple):
    """Which columns are text, and which stand for what their cells look like."""

    names: Sequence[str]
    texts: frozenset[str]
    others: Sequence[str]
    at: Sequence[int]
    """Where the others stand."""

    @classmethod
    def of(cls, names: Sequence[str], texts: Collection[str]) -> "Columns":
        """Tell the columns of a header apart."""
        at = [i for i, name in enumerate(names) if name not in texts]
        return cls(names, frozenset(names) & frozenset(texts), [names[i] for i in at], at)


def read_header(beginning: bytes, *, delimiter: str, file: FileRef) -> Header:
    """Read the header at the beginning of a file, or say what is wrong with it."""
    refuse_delimiter(delimiter)
    mark = len(BYTE_ORDER_MARK) if beginning.startswith(BYTE_ORDER_MARK) else 0
    scanner = QuotedScanner(delimiter=delimiter, offset=mark)
    spans = scanner.feed(beginning[mark:])
    if len(spans.starts) == 0:
        if len(beginning) >= MAX_HEADER_BYTES:
            raise InputUnusable(f"the header of {where_is(file)} does not end within {MAX_HEADER_BYTES:,} bytes")
        spans = scanner.finish()
    if len(spans.starts) == 0:
        return Header((), len(beginning), 1)
    start, end, line = int(spans.starts[0]), int(spans.ends[0]), int(spans.lines[0])
    raw = beginning[start:end]
    row, reason = _row(raw, delimiter)
    names = tuple(row or ())
    if not reason and not all(names):
        reason = "a column has no name"
    if not reason and len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        reason = f'two columns have the name "{twice}"'
    if reason:
        raise InputUnusable(
            f"the header of {where_is(file)}, line {line}, cannot be read: {reason}; "
            "the first line of a CSV file must name each column once"
        )
    return Header(names, end, line + raw.count(b"\n"))


def refuse_delimiter(delimiter: str) -> None:
    """Refuse what cannot stand between cells."""
    if delimiter in '"\r\n':
        raise InputUnusable("a quote or a line end cannot separate the cells of CSV; correct csv.delimiter")


def parse_rows(
    data: bytes, *, first_line: int, record_count: int, header: Header, delimiter: str, texts: Collection[str] = ()
) -> list[Parsed]:
    """Parse all rows: together, or one by one where one of them is not as it should be.

    `texts` names the fields whose cells stand for their text.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    columns = Columns.of(header.names, texts)
    if (parsed := _parse_together(data, first_line, columns, delimiter)) and len(parsed) == record_count:
        return parsed
    return [
        _parse_one(data[start:end], line, columns, delimiter)
        for start, end, line in zip(*(part.tolist() for part in _spans(data, first_line, delimiter)), strict=True)
    ]


def _parse_together(data: bytes, first_line: int, columns: Columns, delimiter: str) -> list[Parsed] | None:
    parsed: list[Parsed] = []
    if len(data) > MAX_LINE_BYTES:
        return None
    names, width, has_texts = columns.names, len(columns.names), bool(columns.texts)
    try:
        # Only "\n" ends a line here, as for the index.
        reader = csv.reader(io.StringIO(data.decode(), newline="\n"), delimiter=delimiter, strict=True)
        line = first_line
        for row in reader:
            if len(row) == width:
                parsed.append((line, _values(columns, row) if has_texts else _typed(names, row), None))
            elif any(cell.strip() for cell in row) or len(row) > 1:
                return None
            line = first_line + reader.line_num
    except (csv.Error, UnicodeDecodeError, ValueError):
        # Which row it is shows when they are read one by one.
        return None
    return parsed


def _parse_one(raw: bytes, line: int, columns: Columns, delimiter: str) -> Parsed:
    if len(raw) > MAX_LINE_BYTES:
        return line, raw[:SHOWN_BYTES].decode(errors="replace"), too_long("row", RecordError.MALFORMED_ROW)
    row, reason = _row(raw, delimiter)
    named = len(columns.names)
    if row is not None and len(row) != named:
        reason = f"the row has {_count(len(row), 'cell')}, and the header names {_count(named, 'column')}"
    if row is not None and not reason:
        try:
            return line, _values(columns, row), None
        except ValueError as error:
            reason = str(error)
    text = raw.decode(errors="replace").rstrip("\r\n")
    return line, text, Problem(RecordError.MALFORMED_ROW, reason)


def _row(raw: bytes, delimiter: str) -> tuple[list[str] | None, str]:
    """Answer the cells of one row, or what is wrong with it."""
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        rows = list(csv.reader(io.StringIO(raw.decode(), newline="\n"), delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        return None, f"the row is not UTF-8: {error.reason} at byte {error.start + 1}"
    except csv.Error as error:
        return None, _reason(str(error))
    if len(rows) != 1:
        return None, "the row is not CSV: a quote is not closed where the cell ends"
    return rows[0], ""


def _reason(error: str) -> str:
    if "unexpected end of data" in error:
        return "the row is not CSV: a quote is opened and never closed"
    if "new-line character" in error:
        return "the row is not CSV: a carriage return stands outside quotes"
    return f"the row is not CSV: {error}"


def _values(columns: Columns, row: Sequence[str]) -> dict[str, Any]:
    """Make a record of a row."""
    if not columns.texts:
        return _typed(columns.names, row)
    rest = _typed(columns.others, [row[i] for i in columns.at]) if columns.at else {}
    return {
        name: cell if name in columns.texts else rest[name]
        for name, cell in zip(columns.names, row, strict=True)
        if name in columns.texts or name in rest
    }


def _typed(names: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    joined = ",".join(row)
    # Most tables are numbers: one call for all of them. Quotes would be text, and commas more cells than there are.
    if '"' not in joined and joined.count(",") == len(row) - 1 and is_plain(encoded := joined.encode()):
        try:
            values = orjson.loads(b"[%b]" % encoded)
        except orjson.JSONDecodeError:
            values = []
        if len(values) == len(names):
            return dict(zip(names, values, strict=True))
    return {name: _value(cell) for name, cell in zip(names, row, strict=True) if cell}


def _value(cell: str) -> Any:
    return parse_cell(cell) if cell[0] in _JSON_BEGINS else cell


def _spans(data: bytes, first_line: int, delimiter: str) -> Spans:
    scanner = QuotedScanner(delimiter=delimiter, line=first_line)
    whole, last = scanner.feed(data), scanner.finish()
    return Spans(*(np.concatenate(pair) for pair in zip(whole, last, strict=True)))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
