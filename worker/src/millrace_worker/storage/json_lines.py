"""Results and errors as JSON lines.

A float that is NaN or infinite becomes null, because JSON has no such number. BYTES become text, or {"b64": ...} where
they are not UTF-8. Arrays of 32-bit and 16-bit floats are written as short as they can be read back unchanged.
"""

import base64
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import orjson

from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import RecordFailure
from millrace_worker.storage.outcome import Array, ResultColumns, Results, in_input_order

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


def result_lines(results: Results, join: OutputJoin) -> Iterator[bytes]:
    """Write results in input order, one a line, each with its line end; equal results give equal bytes."""
    ordered = in_input_order(results)
    if isinstance(ordered, ResultColumns):
        return _lines_of_columns(ordered, join)
    if join == OutputJoin.NONE:
        return (dumps({"outputs": record.outputs}) for record in ordered)
    if join == OutputJoin.KEY:
        return (dumps({"key": each.key, "line": each.line, "outputs": each.outputs}) for each in ordered)
    return (
        dumps({"key": each.key, "line": each.line, "outputs": each.outputs, "input": each.input}) for each in ordered
    )


def result_text(results: Results, join: OutputJoin) -> bytes:
    """Answer the same lines as one text, which may have been made before."""
    if isinstance(results, ResultColumns) and results.text is not None:
        return b"".join(results.text)
    return b"".join(result_lines(results, join))


def _lines_of_columns(columns: ResultColumns, join: OutputJoin) -> Iterator[bytes]:
    """Put lines together from columns of which each became text in one call: a quarter of the work of row by row."""
    cut = [(name, *_rows(column)) for name, column in columns.outputs.items()]
    outputs = ",".join(f"{_name(name)}:{'[' * depth}%b{']' * depth}" for name, depth, _ in cut)
    template, fields = f'"outputs":{{{outputs}}}', [rows for _, _, rows in cut]
    if join != OutputJoin.NONE:
        template = f'"key":%b,"line":%d,{template}'
        fields = [map(orjson.dumps, columns.keys), np.asarray(columns.lines).tolist(), *fields]
    if join == OutputJoin.INPUT:
        template += ',"input":%b'
        fields.append(map(_text, columns.inputs if columns.inputs is not None else [None] * len(columns)))
    line = f"{{{template}}}\n".encode()
    rows: Iterable[tuple[Any, ...]] = zip(*fields, strict=True) if fields else [()] * len(columns)
    return (line % row for row in rows)


def _rows(column: Array) -> tuple[int, Iterable[Any]]:
    """Write each row of an array as JSON, without as many brackets around it as are told."""
    if column.dtype.kind not in "fiub" or 0 in column.shape:
        return 0, map(_text, column)
    native = column.astype(column.dtype.newbyteorder("="), copy=False)
    text, depth = _text(np.ascontiguousarray(native)), column.ndim - 1
    # So many brackets close only at the end of a row: "[[1,2],[3,4]]" is cut at "],[".
    return depth, text[depth + 1 : -depth - 1].split(b"]" * depth + b"," + b"[" * depth)


def _name(output: str) -> str:
    return _text(output).decode().replace("%", "%%")


def _text(value: Any) -> bytes:
    return dumps(value)[:-1]


def failure_lines(failures: Iterable[RecordFailure]) -> Iterator[bytes]:
    """Write errors in input order, one a line; they always tell key, line and input."""
    return (failure_line(failure) for failure in sorted(failures, key=lambda failure: failure.line))


def failure_line(failure: RecordFailure) -> bytes:
    """Write one error with its line end."""
    return failure.model_dump_json().encode() + b"\n"


def dumps(value: Any) -> bytes:
    """Write any value that a record or an output may hold as JSON, with a line end."""
    try:
        return orjson.dumps(value, default=_otherwise, option=_OPTIONS)
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits and the like, which orjson does not know and JSON does.
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def text_of(value: bytes) -> Any:
    """Turn bytes into text, or into {"b64": ...} where they are none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _otherwise(value: Any) -> Any:
    """Turn what orjson does not know into what it does."""
    if isinstance(value, np.ndarray):
        is_number = value.dtype.kind in "fiub" and value.dtype.isnative and value.ndim
        return np.ascontiguousarray(value) if is_number else value[()] if not value.ndim else value.tolist()
    if isinstance(value, bytes):
        return text_of(value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else _otherwise(value)
