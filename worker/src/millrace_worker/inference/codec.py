"""JSON values to tensors and back.

In: numbers, booleans, strings and nested lists of them, checked against the model before anything is sent. A plain
value stands for a tensor of one element. Fields that are no input of the model are left alone: records may carry labels
and ids. Out: what JSON can say. A float that is NaN or infinite becomes null, because JSON has no such number and a
reader that stops at it would lose its neighbours too. BYTES become text, or {"b64": ...} where they are not UTF-8.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from millrace_worker.errors import RecordInvalid
from millrace_worker.inference.model import NUMPY_TYPES, Answer, Array, ModelSignature, TensorSpec

FLOATS: Final = frozenset({"FP16", "FP32", "FP64", "BF16"})
_JSON_NAMES: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number with a fraction",
    str: "a string",
    dict: "an object",
    list: "a list",
    type(None): "null",
}
Tensors = dict[str, Array]


def encode(record: Mapping[str, Any], signature: ModelSignature) -> Tensors:
    """Turn a record into one tensor for each input, without batch axis, or raise RecordInvalid."""
    tensors = {}
    for spec in signature.inputs:
        if record.get(spec.name) is not None:
            tensors[spec.name] = _tensor(record[spec.name], spec)
        elif not spec.optional:
            given = _visible(", ".join(sorted(record))) or "none"
            raise RecordInvalid(f'there is no field "{spec.name}", which the model needs; the fields are: {given}')
    if not tensors:
        raise RecordInvalid("no field of the record is an input of the model")
    return tensors


def shape_of(tensors: Tensors) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Answer what records must have in common to stand in one batch."""
    return tuple((name, tensor.shape) for name, tensor in tensors.items())


def join(rows: Sequence[Tensors], signature: ModelSignature) -> Tensors:
    """Make one request of records that have the same shape."""
    if not signature.batches:
        (row,) = rows
        return row
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def split(answer: Answer, signature: ModelSignature, *, row_count: int) -> list[dict[str, Any]]:
    """Make JSON values of the outputs, one dictionary for each record of the request."""
    if not signature.batches:
        return [{name: to_json(tensor) for name, tensor in answer.outputs.items()}]
    columns = {name: [to_json(row) for row in tensor] for name, tensor in answer.outputs.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(row_count)]


def to_json(tensor: Any) -> Any:
    """Turn a tensor into nested lists of what JSON can say."""
    array = np.asarray(tensor)
    if array.dtype.kind == "f":
        if np.isfinite(array).all():
            return array.tolist()
        return _map(array.tolist(), lambda value: value if math.isfinite(value) else None)
    if array.dtype.kind in "OSU":
        return _map(array.tolist(), _text)
    return array.tolist()


def _tensor(value: Any, spec: TensorSpec) -> Array:
    if spec.datatype not in NUMPY_TYPES:
        raise RecordInvalid(f'"{spec.name}" has the datatype {spec.datatype}, which JSON records cannot express')
    array = _array(value, spec)
    if array.ndim == 0 and math.prod(spec.dims) in {1, -1}:
        array = array.reshape((1,) * len(spec.dims))
    if array.ndim != len(spec.dims) or any(
        want not in {-1, have} for want, have in zip(spec.dims, array.shape, strict=True)
    ):
        raise RecordInvalid(f'"{spec.name}" has the shape {list(array.shape)}, and the model needs {list(spec.dims)}')
    return array


def _array(value: Any, spec: TensorSpec) -> Array:
    """Make an array of the model's datatype; only the shape is still unchecked."""
    try:
        array = np.asarray(value, dtype=object if spec.datatype == "BYTES" else None)
        if array.dtype.kind == "f" and spec.datatype not in FLOATS:
            # numpy rounds a mixture of small integers and those beyond 63 bits to floats.
            array = np.asarray(value, dtype=object)
    except (ValueError, OverflowError) as error:
        raise RecordInvalid(f'the lists of "{spec.name}" have different lengths; a tensor needs equal ones') from error
    kinds = set(map(type, _leaves(value, depth=array.ndim)))
    allowed = _allowed(spec.datatype)
    if not kinds <= allowed:
        wrong = sorted(_JSON_NAMES.get(kind, kind.__name__) for kind in kinds - allowed)
        if list in kinds:
            raise RecordInvalid(f'the lists of "{spec.name}" have different lengths; a tensor needs equal ones')
        raise RecordInvalid(f'"{spec.name}" is {spec.datatype} and holds {" and ".join(wrong)}')
    if spec.datatype == "BYTES":
        try:
            return np.array([text.encode() for text in array.ravel()], dtype=np.object_).reshape(array.shape)
        except UnicodeEncodeError as error:
            raise RecordInvalid(f'"{spec.name}" holds half of a surrogate pair, which is no text') from error
    return _narrowed(array, spec)


def _allowed(datatype: str) -> frozenset[type]:
    if datatype == "BYTES":
        return frozenset({str})
    if datatype == "BOOL":
        return frozenset({bool})
    return frozenset({int, float}) if datatype in FLOATS else frozenset({int})


def _narrowed(array: Array, spec: TensorSpec) -> Array:
    target = NUMPY_TYPES[spec.datatype]
    if array.size == 0:
        return array.astype(target)
    if spec.datatype in FLOATS:
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise RecordInvalid(f'"{spec.name}" holds NaN, which JSON does not know')
        with np.errstate(over="ignore"):
            narrow = array.astype(target)
        if not np.isfinite(narrow.astype(np.float64)).all():
            raise RecordInvalid(f'"{spec.name}" holds a number that is too large for {spec.datatype}')
        return narrow
    if spec.datatype != "BOOL":
        bounds = np.iinfo(target)  # type: ignore[type-var] # only integer types are left
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise RecordInvalid(
                f'"{spec.name}" is {spec.datatype} and holds an integer outside {bounds.min} to {bounds.max}'
            )
    return array.astype(target)


def _visible(text: str) -> str:
    """Write out what UTF-8 cannot carry: a message about a bad record must itself arrive."""
    return text.encode(errors="backslashreplace").decode()


def _leaves(value: Any, *, depth: int) -> Iterable[Any]:
    level: Iterable[Any] = [value]
    for _ in range(depth):
        level = chain.from_iterable(level)
    return level


def _map(value: Any, function: Any) -> Any:
    return [_map(item, function) for item in value] if isinstance(value, list) else function(value)


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
