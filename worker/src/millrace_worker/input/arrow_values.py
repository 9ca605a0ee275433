"""What stands in columns of Arrow, as JSON values or as arrays of numpy."""

import base64
import datetime as dt
import decimal
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types

from millrace_contracts.errors import RecordError
from millrace_worker.input.record import Parsed, Problem

_AS_THEY_ARE: Final = frozenset({type(None), bool, int, float, str})


class _Unreadable:
    """A value that cannot be read, with the reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def rows_of(table: Any, *, first_row: int) -> list[Parsed]:
    """Answer all rows as records; one with a value that cannot be read fails alone."""
    names = table.column_names
    columns = [values_of(table.column(i)) for i in range(len(names))]
    parsed: list[Parsed] = []
    for row, values in enumerate(zip(*columns, strict=True), start=first_row):
        wrong = next((i for i, value in enumerate(values) if type(value) is _Unreadable), None)
        if wrong is None:
            parsed.append((row, dict(zip(names, values, strict=True)), None))
            continue
        shown = {name: value for name, value in zip(names, values, strict=True) if type(value) is not _Unreadable}
        reason = f'the value of column "{names[wrong]}" cannot be read: {values[wrong].reason}'
        parsed.append((row, shown, Problem(RecordError.MALFORMED_ROW, reason)))
    return parsed


def dense(column: Any) -> npt.NDArray[Any] | None:
    """Answer a column as an array whose first axis is the row; None where it has nulls or lists of unequal length."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    # Columns of more than 2 GiB stay in chunks.
    if isinstance(array, pa.ChunkedArray) or array.null_count:
        return None
    kind = array.type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        numbers: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return numbers
    length = _common_length(array)
    inner = None if length is None else dense(array.flatten())
    return None if inner is None else inner.reshape((len(array), length, *inner.shape[1:]))


def _common_length(array: Any) -> int | None:
    """Answer how long all lists are; None where they differ, or are no lists."""
    if types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    if not (types.is_list(array.type) or types.is_large_list(array.type)):
        return None
    lengths = np.diff(array.offsets.to_numpy())
    if len(lengths) == 0:
        return 0
    return int(lengths[0]) if (lengths == lengths[0]).all() else None


def values_of(column: Any) -> Sequence[Any]:
    """Answer the values of a column; one that cannot be read is nothing that a record may hold."""
    values: list[Any]
    if (array := dense(column)) is not None:
        # Many times faster than value by value.
        values = array.tolist()
        return values
    try:
        if (rounded := _without_nanoseconds(column.type)) != column.type:
            column = column.cast(rounded, safe=False)
        if types.is_string(column.type) or types.is_large_string(column.type):
            values = column.to_numpy(zero_copy_only=False).tolist()
            return values
        found = column.to_pylist(maps_as_pydicts="strict")
    except (pa.ArrowException, ValueError, OverflowError, KeyError):
        return [_value_of(scalar) for scalar in column]
    return [value if type(value) in _AS_THEY_ARE else _json(value) for value in found]


def _without_nanoseconds(kind: Any) -> Any:
    """Answer the same type with times that end at microseconds, as Python's own do.

    Else pyarrow would answer times of pandas where that happens to be installed, and refuse them where it is not.
    """
    rounded = kind
    if types.is_timestamp(kind) and kind.unit == "ns":
        rounded = pa.timestamp("us", kind.tz)
    elif types.is_duration(kind) and kind.unit == "ns":
        rounded = pa.duration("us")
    elif types.is_list(kind):
        rounded = pa.list_(_field_without_nanoseconds(kind.value_field))
    elif types.is_large_list(kind):
        rounded = pa.large_list(_field_without_nanoseconds(kind.value_field))
    elif types.is_fixed_size_list(kind):
        rounded = pa.list_(_field_without_nanoseconds(kind.value_field), kind.list_size)
    elif types.is_struct(kind):
        rounded = pa.struct([_field_without_nanoseconds(kind.field(i)) for i in range(kind.num_fields)])
    elif types.is_map(kind):
        rounded = pa.map_(kind.key_type, _without_nanoseconds(kind.item_type))
    return rounded


def _field_without_nanoseconds(field: Any) -> Any:
    return field.with_type(_without_nanoseconds(field.type))


def _value_of(scalar: Any) -> Any:
    try:
        return _json(scalar.as_py(maps_as_pydicts="strict"))
    except (pa.ArrowException, ValueError, OverflowError, KeyError) as error:
        return _Unreadable(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


def _json(value: Any) -> Any:
    """Answer what JSON can say of a value."""
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _json(item) for name, item in value.items()}
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    return str(value)


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _number(value: decimal.Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


_CONVERSIONS: Final[Sequence[tuple[type, Callable[[Any], Any]]]] = (
    (bytes, _text),
    (decimal.Decimal, _number),
    (dt.timedelta, dt.timedelta.total_seconds),
    # A datetime is a date too.
    (dt.date, lambda value: value.isoformat()),
    (dt.time, dt.time.isoformat),
    (np.generic, lambda value: value.item()),
)
