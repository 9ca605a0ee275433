"""JSON lines: one object a line.

A line is parsed by the fast parser. Where that one refuses, or would not be exact, the slow one has the last word: its
errors name the column, and it keeps integers of any length.
"""

import json
import re
from typing import Any, Final, Never

import orjson

from millrace_contracts.errors import RecordError
from millrace_contracts.nesting import MAX_NESTING, is_too_deep, may_be_too_deep
from millrace_worker.input.lines import BYTE_ORDER_MARK
from millrace_worker.input.record import Parsed, Problem

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""A longer line is a malformed record: one line must never fill the memory of a worker."""

SHOWN_BYTES: Final = 1024
"""What is shown of a line that is too long."""

LONG_INTEGER: Final = 19
"""Digits in a row that may be more than 64 bits."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER: Final = b"0" * LONG_INTEGER


def parse_together(data: bytes) -> list[dict[str, Any]] | None:
    """Parse lines of which none is unusual without a step of Python for each; None where one is."""
    if not data or may_be_too_deep(data) or has_long_integers(data):
        return None
    lines = data.removesuffix(b"\n").split(b"\n")
    if len(data) > MAX_LINE_BYTES and max(map(len, lines)) >= MAX_LINE_BYTES:
        return None
    try:
        values = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return None
    return values if set(map(type, values)) == {dict} else None


def parse_lines(data: bytes, *, first_line: int) -> list[Parsed]:
    """Parse all lines that are not blank."""
    parsed: list[Parsed] = []
    is_in_doubt = may_be_too_deep(data) or has_long_integers(data) or len(data) > MAX_LINE_BYTES
    loads = orjson.loads
    for number, line in enumerate(data.split(b"\n"), start=first_line):
        try:
            value = loads(line) if not is_in_doubt or is_plain(line) else None
        except orjson.JSONDecodeError:
            value = None
        # By type and not by isinstance: no parser makes anything else, and this is done for each record.
        if type(value) is dict:
            parsed.append((number, value, None))
        elif line and not line.isspace():
            parsed.append(parse_slowly(line, number))
    return parsed


def parse_text(text: bytes, number: int) -> Parsed:
    """Parse one text that is a record whatever it holds."""
    try:
        value = orjson.loads(text) if is_plain(text) else None
    except orjson.JSONDecodeError:
        value = None
    return (number, value, None) if isinstance(value, dict) else parse_slowly(text, number)


def parse_slowly(line: bytes, number: int) -> Parsed:
    """Parse a line, or say what is wrong with it."""
    if len(line) >= MAX_LINE_BYTES:
        return number, line[:SHOWN_BYTES].decode(errors="replace"), too_long("line")
    try:
        return number, parse(line), None
    except ValueError as error:
        text = line.decode(errors="replace").rstrip("\r\n")
        return number, text, Problem(RecordError.MALFORMED_JSON, str(error))


def too_long(what: str, code: RecordError = RecordError.MALFORMED_JSON) -> Problem:
    """Say that a record would fill the memory of a worker."""
    return Problem(code, f"the {what} is longer than {MAX_LINE_BYTES // 2**20} MiB")


def parse(text: bytes) -> dict[str, Any]:
    """Parse a line, or raise ValueError with what is wrong with it."""
    try:
        # With its line end, a line that is cut off would be reported at column 1 of the next one.
        line = text.removeprefix(BYTE_ORDER_MARK).rstrip(b"\r\n")
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


def parse_cell(text: str) -> Any:
    """Answer the number, boolean, null, list or object that a text is, or the text itself."""
    encoded = text.encode()
    try:
        value = orjson.loads(encoded) if is_plain(encoded) else _parse_doubtful(encoded)
    except ValueError:
        return text
    return text if isinstance(value, str) else value


def is_plain(text: bytes) -> bool:
    """Say whether the fast parser reads a text as the slow one does."""
    return len(text) < MAX_LINE_BYTES and not has_long_integers(text) and not is_too_deep(text)


def has_long_integers(text: bytes) -> bool:
    """Say whether there may be integers of more than 64 bits, which the fast parser would round."""
    return _LONG_INTEGER in text.translate(_DIGITS)


def _parse_doubtful(text: bytes) -> Any:
    if is_too_deep(text):
        raise ValueError(f"nested deeper than {MAX_NESTING} levels")
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"the line is not JSON: {name} is not a number there")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a string"
    return "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"
