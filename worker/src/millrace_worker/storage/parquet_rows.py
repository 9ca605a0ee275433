"""Results as Parquet: key and line, the input as JSON text where it is joined, and one column for each output.

What a column holds follows from what the model says of its output, so that all parts of a job have one schema: an
output of one number a record is a plain column, a list is a list, of a fixed length where the model fixes it. Where
the model says nothing it follows from the part's own results. BYTES are text ({"b64": ...} where they are not UTF-8),
FP16 and BF16 are stored as 32 bits, and NaN stays NaN.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import RecordResult
from millrace_worker.errors import OutputUnwritable
from millrace_worker.inference.model import TensorSpec
from millrace_worker.storage.json_lines import dumps, text_of
from millrace_worker.storage.outcome import Array, Result, ResultColumns, Results, in_input_order

_TYPES: Final[Mapping[str, pa.DataType]] = {
    "BOOL": pa.bool_(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "FP16": pa.float32(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BF16": pa.float32(),
    "BYTES": pa.string(),
}
_OWN_COLUMNS: Final = frozenset({"key", "line", "input"})
_ONE: Final = frozenset({(), (1,)})
"""Shapes of one value a record."""


def results_table(results: Results, join: OutputJoin, outputs: Sequence[TensorSpec] = ()) -> bytes:
    """Write results in input order as one Parquet file; equal results give equal bytes."""
    ordered = in_input_order(results)
    if isinstance(ordered, ResultColumns):
        keys, lines, inputs, values = ordered.keys, ordered.lines, ordered.inputs, ordered.outputs
    else:
        keys, lines = [record.key for record in ordered], [record.line for record in ordered]
        inputs, values = [record.input for record in ordered], _by_output(ordered)
    fields: dict[str, pa.Array] = {}
    if join != OutputJoin.NONE:
        fields["key"] = pa.array(keys, pa.string())
        fields["line"] = pa.array(np.asarray(lines, dtype=np.int64))
    if join == OutputJoin.INPUT:
        given = inputs if inputs is not None else [None] * len(keys)
        fields["input"] = pa.array([dumps(value)[:-1].decode() for value in given], pa.string())
    specs = {spec.name: spec for spec in outputs}
    for name in [*specs, *(name for name in values if name not in specs)]:
        fields[_column_name(name)] = _array(values.get(name), specs.get(name), name=name, length=len(keys))
    return _file(pa.table(fields))


def count_rows(data: bytes) -> int:
    """Say how many results a file holds."""
    return int(pq.read_metadata(io.BytesIO(data)).num_rows)


def _file(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    # Keys are all different and floats nearly so: looking for repetitions costs more than zstd finds by itself.
    pq.write_table(table, stream, compression="zstd", use_dictionary=False)
    return stream.getvalue()


def _column_name(output: str) -> str:
    return f"output_{output}" if output in _OWN_COLUMNS else output


def _by_output(records: Sequence[Result | RecordResult]) -> dict[str, Any]:
    names = dict.fromkeys(name for record in records for name in record.outputs)
    return {name: _side_by_side([record.outputs.get(name) for record in records]) for name in names}


def _side_by_side(values: list[Any]) -> Any:
    """Make one array of the values, if they are arrays of one shape and type."""
    first = values[0]
    if not isinstance(first, np.ndarray | np.generic):
        return values
    dtype, shape = first.dtype, first.shape
    is_even = all(isinstance(each, type(first)) and each.dtype == dtype and each.shape == shape for each in values)
    return np.array(values) if is_even else values


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _array(values: Any, spec: TensorSpec | None, *, name: str, length: int) -> pa.Array:
    leaf, dims = (_TYPES.get(spec.datatype), spec.dims) if spec else (None, None)
    try:
        if values is None:
            values = [None] * length
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and 0 not in values.shape:
            return _of_numbers(values, leaf, dims)
        return _of_lists([_text(_listed(value)) for value in values], leaf, dims)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        told = f" (it says {spec.datatype} {list(spec.dims)})" if spec else ""
        raise OutputUnwritable(
            f'output "{name}" cannot be a column of Parquet: {error}; the model answers otherwise than it says{told}: '
            "correct its configuration, or choose JSONL"
        ) from error


def _of_numbers(values: Array, leaf: pa.DataType | None, dims: tuple[int, ...] | None) -> pa.Array:
    """Make a column of an array without a Python object for each number."""
    own = values.shape[1:]
    if dims is None:
        dims = () if own in _ONE else (-1,) * len(own)
    fits = len(own) == len(dims) and all(want in {-1, have} for want, have in zip(dims, own, strict=True))
    if not fits and not (own in _ONE and dims in _ONE):
        raise ValueError(f"its shape is {list(own)}")
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    column = pa.array(values.astype(values.dtype.newbyteorder("="), copy=False).ravel())
    if leaf is not None:
        column = column.cast(leaf)
    if dims in _ONE:
        return column
    for size, want in zip(reversed(own), reversed(dims), strict=True):
        if want < 0:
            offsets = pa.array(np.arange(0, len(column) + 1, size, dtype=np.int32))
            column = pa.ListArray.from_arrays(offsets, column)
        else:
            column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _of_lists(values: list[Any], leaf: pa.DataType | None, dims: tuple[int, ...] | None) -> pa.Array:
    """Make a column of JSON values: what came from the cache, and text."""
    if dims is None:
        dims = () if all(_is_one(value) for value in values) else None
    if dims in _ONE:
        values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    if leaf is None or dims is None:
        return pa.array(values)
    wanted = leaf
    for size in reversed(() if dims in _ONE else dims):
        wanted = pa.list_(wanted, size) if size >= 0 else pa.list_(wanted)
    return pa.array(values, wanted)


def _is_one(value: Any) -> bool:
    return not isinstance(value, list) or (len(value) == 1 and not isinstance(value[0], list))


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, bytes):
        value = text_of(value)
    return dumps(value)[:-1].decode() if isinstance(value, dict) else value
