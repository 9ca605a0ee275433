"""A record with its name and its place; each is usable or failed by itself, and none fails its neighbours."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from millrace_contracts.errors import RecordError
from millrace_contracts.results import ErrorDetail, RecordFailure


class Record(NamedTuple):
    """A JSON object with its name and where it stood."""

    key: str
    line: int
    value: Mapping[str, Any]


class Problem(NamedTuple):
    """Why what stood in a place is no record."""

    code: RecordError
    message: str


_RECORD: Final = partial(tuple.__new__, Record)
"""Makes a record of a tuple, several times faster than its own constructor: this is done for each record of a job."""

Parsed = tuple[int, Any, Problem | None]
"""Line number, value, and what is wrong; what is malformed keeps its text as value."""


def fail(record: Record, code: RecordError, message: str, *, attempts: int = 1) -> RecordFailure:
    """Fail a record for a reason."""
    detail = ErrorDetail(code=code, message=message, attempts=attempts)
    return RecordFailure(key=record.key, line=record.line, error=detail, input=record.value)


def name_all(parsed: Iterable[Parsed], *, origin: str, key_field: str, first: int = 1) -> list[Record | RecordFailure]:
    """Give each record its name; one that is unusable, or whose name is, fails under its position."""
    named: list[Record | RecordFailure] = []
    lines_by_key: dict[str, int] = {}
    for line, value, problem in parsed:
        # The position is unique, so it names what has no usable name of its own.
        position = f"{origin}:{line - 1 + first}"
        if problem is not None:
            named.append(_failure(position, line, problem, value))
            continue
        key = key_of(value.get(key_field)) if key_field else position
        if key is None:
            message = f'"{key_field}", which names the record, is missing or is neither text nor a number'
            named.append(_failure(position, line, Problem(RecordError.INVALID_RECORD, message), value))
        elif key in lines_by_key:
            message = f'the name "{key}" was used on line {lines_by_key[key]} before'
            named.append(_failure(position, line, Problem(RecordError.DUPLICATE_KEY, message), value))
        else:
            lines_by_key[key] = line
            named.append(Record(key, line, value))
    return named


def name_together(
    values: Sequence[Mapping[str, Any]], lines: Sequence[int], *, origin: str, key_field: str, first: int = 1
) -> list[Record | RecordFailure] | None:
    """Name records that are all usable without a step of Python for each; None where one's name is unusual."""
    if key_field:
        keys = [value.get(key_field) for value in values]
        kinds = set(map(type, keys))
        if not kinds <= {str, int}:
            return None
        keys = keys if kinds == {str} else list(map(str, keys))
        if len(set(keys)) < len(keys):
            return None
    else:
        keys = [f"{origin}:{line - 1 + first}" for line in lines]
    return list(map(_RECORD, zip(keys, lines, values, strict=True)))


def key_of(value: Any) -> str | None:
    """Answer the text of a value that can name a record."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def _failure(key: str, line: int, problem: Problem, value: Any) -> RecordFailure:
    detail = ErrorDetail(code=problem.code, message=problem.message)
    return RecordFailure(key=key, line=line, error=detail, input=value)
