"""JSON values to tensors and back.

In: numbers, booleans, strings and nested lists of them, checked against the model before anything is sent. A plain
value stands for a tensor of one element, a float without a fraction for an integer, {"b64": ...} for bytes. Fields that
are no input of the model are left alone: records may carry labels and ids. Out: what JSON can say. A float that is NaN
or infinite becomes null, because JSON has no such number and a reader that stops at it would lose its neighbours too.
BYTES become text, or {"b64": ...} where they are not UTF-8.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from millrace_worker.errors import RecordInvalid
from millrace_worker.inference.model import NUMPY_TYPES, Answer, Array, ModelSignature, TensorSpec

FLOATS: Final = frozenset({"FP16", "FP32", "FP64", "BF16"})
_JSON_NAMES: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    dict: "an object",
    list: "a list",
    type(None): "null",
}
Tensors = dict[str, Array]
NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})
"""Each tensor takes the field of its own name."""


def encode(
    record: Mapping[str, Any],
    signature: ModelSignature,
    *,
    fields: Mapping[str, str] = NO_FIELDS,
    takes_nonfinite: bool = False,
) -> Tensors:
    """Turn a record into one tensor for each input, without batch axis, or raise RecordInvalid.

    `fields` names the field of a tensor where that is not the tensor's own name. `takes_nonfinite`: the record comes
    from where NaN and infinity are numbers like others, which JSON is not.
    """
    tensors = {}
    for spec in signature.inputs:
        field = fields.get(spec.name, spec.name)
        value = record.get(field)
        if value is not None:
            # Messages are about what stands in the record.
            shown = spec if field == spec.name else replace(spec, name=field)
            tensors[spec.name] = _tensor(value, shown, takes_nonfinite=takes_nonfinite)
        elif not spec.optional:
            raise RecordInvalid(_absence(record, field, spec))
    if not tensors:
        raise RecordInvalid("no field of the record is an input of the model")
    return tensors


def _absence(record: Mapping[str, Any], field: str, spec: TensorSpec) -> str:
    if field in record:
        return f'"{field}" is null, and the model needs it'
    given = _visible(", ".join(sorted(record))) or "none"
    name = "" if field == spec.name else f' as "{spec.name}"'
    return f'there is no field "{field}", which the model needs{name}; the fields are: {given}'


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


def _tensor(value: Any, spec: TensorSpec, *, takes_nonfinite: bool) -> Array:
    if spec.datatype not in NUMPY_TYPES:
        raise RecordInvalid(f'"{spec.name}" has the datatype {spec.datatype}, which JSON records cannot express')
    array = _array(value, spec, takes_nonfinite=takes_nonfinite)
    if array.ndim == 0 and math.prod(spec.dims) in {1, -1}:
        array = array.reshape((1,) * len(spec.dims))
    if array.ndim != len(spec.dims) or any(
        want not in {-1, have} for want, have in zip(spec.dims, array.shape, strict=True)
    ):
        raise RecordInvalid(f'"{spec.name}" has the shape {list(array.shape)}, and the model needs {list(spec.dims)}')
    return array


def _array(value: Any, spec: TensorSpec, *, takes_nonfinite: bool) -> Array:
    """Make an array of the model's datatype; only the shape is still unchecked."""
    try:
        array = np.asarray(value, dtype=object if spec.datatype == "BYTES" else None)
        if array.dtype.kind == "f" and spec.datatype not in FLOATS:
            # numpy rounds a mixture of small integers and those beyond 63 bits, or floats, to floats.
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
            return np.array([_raw(leaf, spec) for leaf in array.ravel()], dtype=np.object_).reshape(array.shape)
        except UnicodeEncodeError as error:
            raise RecordInvalid(f'"{spec.name}" holds half of a surrogate pair, which is no text') from error
    if array.size == 0 or spec.datatype == "BOOL":
        return array.astype(NUMPY_TYPES[spec.datatype])
    narrow = _floats if spec.datatype in FLOATS else _integers
    return narrow(array, spec, takes_nonfinite=takes_nonfinite)


def _allowed(datatype: str) -> frozenset[type]:
    if datatype == "BYTES":
        return frozenset({str, dict})
    if datatype == "BOOL":
        return frozenset({bool})
    return frozenset({int, float})


def _raw(leaf: str | dict[str, Any], spec: TensorSpec) -> bytes:
    """Answer the bytes of a text, or those that are written as results write them."""
    if isinstance(leaf, str):
        return leaf.encode()
    encoded = leaf.get("b64") if len(leaf) == 1 else None
    if not isinstance(encoded, str):
        raise RecordInvalid(f'"{spec.name}" is BYTES and holds an object other than {{"b64": "..."}}')
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise RecordInvalid(f'"{spec.name}" is BYTES and holds a "b64" that is not base64') from error


def _floats(array: Array, spec: TensorSpec, *, takes_nonfinite: bool) -> Array:
    too_large = f'"{spec.name}" holds a number that is too large for {spec.datatype}'
    try:
        with np.errstate(over="ignore"):
            narrow = array.astype(NUMPY_TYPES[spec.datatype])
    except OverflowError as error:
        # An integer that not even a Python float holds.
        raise RecordInvalid(too_large) from error
    if not (is_finite := np.isfinite(narrow)).all():
        given = array.astype(np.float64)
        if np.isnan(given).any() and not takes_nonfinite:
            raise RecordInvalid(f'"{spec.name}" holds NaN, which JSON does not know')
        if not takes_nonfinite or (np.isfinite(given) & ~is_finite).any():
            raise RecordInvalid(too_large)
    return narrow


def _integers(array: Array, spec: TensorSpec, *, takes_nonfinite: bool) -> Array:
    if array.dtype.kind == "O":
        whole = [_whole(value, spec, takes_nonfinite=takes_nonfinite) for value in array.ravel()]
        array = np.array(whole, dtype=np.object_).reshape(array.shape)
    target = NUMPY_TYPES[spec.datatype]
    bounds = np.iinfo(target)  # type: ignore[type-var] # only integer types are left
    if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
        raise RecordInvalid(
            f'"{spec.name}" is {spec.datatype} and holds an integer outside {bounds.min} to {bounds.max}'
        )
    return array.astype(target)


def _whole(value: float, spec: TensorSpec, *, takes_nonfinite: bool) -> int:
    """Answer the integer that a number is."""
    if isinstance(value, int) or value.is_integer():
        return int(value)
    wrong = "a number with a fraction"
    if math.isnan(value):
        wrong = "NaN"
    elif math.isinf(value):
        # JSON has no infinity; there it is what becomes of 1e999.
        wrong = "infinity" if takes_nonfinite else "a number that is too large"
    raise RecordInvalid(f'"{spec.name}" is {spec.datatype} and holds {wrong}')


def _visible(text: str) -> str:
    """Write out what UTF-8 cannot carry: a message about a bad record must itself arrive."""
    return text.encode(errors="backslashreplace").decode()


def _leaves(value: Any, *, depth: int) -> Iterable[Any]:
    level: Iterable[Any] = [value]
    for _ in range(depth):
        level = chain.from_iterable(level)
    return level


def says_all(value: Any) -> bool:
    """Say whether the JSON value of a tensor says all of it: null stands where a number was NaN or infinite."""
    if not isinstance(value, list):
        return value is not None
    if value and isinstance(value[0], list):
        return all(map(says_all, value))
    return None not in value


def _map(value: Any, function: Any) -> Any:
    return [_map(item, function) for item in value] if isinstance(value, list) else function(value)


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
