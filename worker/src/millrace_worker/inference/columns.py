"""Many records to tensors at once, where they are all alike.

The quick way of `codec`: it looks at a batch as a whole, and never says what is wrong. What it is not sure of it leaves
to `codec.encode`, record by record, so that exactly the same records fail with exactly the same words.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct
from struct import error as StructError  # noqa: N812 - "error" says nothing here
from typing import Any, Final

import numpy as np

from millrace_worker.inference.codec import FLOATS, Tensors
from millrace_worker.inference.model import NUMPY_TYPES, Array, ModelSignature, TensorSpec

_PIECE: Final = 65_536
"""Numbers that are packed at a time; each is a word on the stack of the call."""

_EXACT: Final = float(2**53)
"""Up to here a float64 holds each integer exactly, so that narrowing it rounds once, as narrowing the integer does."""


def encode_all(
    values: Sequence[Mapping[str, Any]],
    signature: ModelSignature,
    fields: Mapping[str, str],
    *,
    takes_nonfinite: bool = False,
) -> Tensors | None:
    """Make one tensor of each input, the first axis being the record; None where the records are not all alike.

    `fields` names the field of a tensor where that is not the tensor's own name; `takes_nonfinite` is as of `codec`.
    """
    tensors: Tensors = {}
    for spec in signature.inputs:
        field = fields.get(spec.name, spec.name)
        column = [value.get(field) for value in values]
        if None in column:
            if spec.optional and all(value is None for value in column):
                continue
            return None
        tensor = _tensor(column, spec, takes_nonfinite=takes_nonfinite)
        if tensor is None:
            return None
        tensors[spec.name] = tensor
    return tensors or None


def fit_columns(columns: Mapping[str, Array], signature: ModelSignature, fields: Mapping[str, str]) -> Tensors | None:
    """Make tensors of the columns of a file, without a Python object for a value; None where any does not fit.

    NaN and infinity are numbers like others there.
    """
    tensors: Tensors = {}
    for spec in signature.inputs:
        column = columns.get(fields.get(spec.name, spec.name))
        if column is None:
            if spec.optional:
                continue
            return None
        tensor = _fitted(column, spec)
        if tensor is None:
            return None
        tensors[spec.name] = tensor
    return tensors or None


def _tensor(column: list[Any], spec: TensorSpec, *, takes_nonfinite: bool) -> Array | None:
    """Pack the values of one input; None where anything is unusual."""
    if spec.datatype not in NUMPY_TYPES:
        return None
    shape, leaves = [len(column)], column
    if isinstance(column[0], list) or not is_single(spec):
        for size in spec.dims:
            if set(map(type, leaves)) != {list}:
                return None
            lengths = set(map(len, leaves))
            if len(lengths) != 1:
                return None
            length = lengths.pop()
            if size not in {-1, length}:
                return None
            shape.append(length)
            leaves = list(chain.from_iterable(leaves))
    else:
        shape += [1] * len(spec.dims)
    array = _packed(leaves, spec.datatype, takes_nonfinite=takes_nonfinite) if leaves else None
    return None if array is None else array.reshape(shape)


def _packed(leaves: list[Any], datatype: str, *, takes_nonfinite: bool) -> Array | None:
    if datatype == "BYTES":
        return _texts(leaves)
    if datatype == "BOOL":
        return np.array(leaves, dtype=np.bool_) if set(map(type, leaves)) == {bool} else None
    code = "d" if datatype in FLOATS else "Q" if datatype == "UINT64" else "q"
    try:
        content = b"".join(
            _packer(code, min(_PIECE, len(leaves) - start)).pack(*leaves[start : start + _PIECE])
            for start in range(0, len(leaves), _PIECE)
        )
    except (StructError, OverflowError, TypeError):
        return None
    array = np.frombuffer(content, dtype=code)
    if _holds_booleans(leaves, array):
        return None
    return _floats(array, datatype, takes_nonfinite=takes_nonfinite) if code == "d" else _integers(array, datatype)


@lru_cache(maxsize=64)
def _packer(code: str, count: int) -> Struct:
    return Struct(f"{count}{code}")


def _holds_booleans(leaves: list[Any], array: Array) -> bool:
    """Look for booleans, which pack as 0 and 1, only where there is a 0 or a 1."""
    # Few steps, because at each of them another thread may take the interpreter away.
    with np.errstate(all="ignore"):
        candidates = np.flatnonzero(array * array == array)
    if len(candidates) * 3 > len(leaves):
        return bool in set(map(type, leaves))
    return any(type(leaves[i]) is bool for i in candidates.tolist())


def _texts(leaves: list[Any]) -> Array | None:
    if set(map(type, leaves)) != {str}:
        return None
    try:
        array = np.empty(len(leaves), dtype=np.object_)
        array[:] = [text.encode() for text in leaves]
    except UnicodeEncodeError:
        return None
    return array


def _fitted(column: Array, spec: TensorSpec) -> Array | None:
    if spec.datatype not in NUMPY_TYPES or spec.datatype == "BYTES" or column.size == 0:
        return None
    shape = column.shape
    if column.ndim == 1 and is_single(spec):
        shape = (len(column), *(1,) * len(spec.dims))
    if len(shape) != 1 + len(spec.dims):
        return None
    if any(want not in {-1, have} for want, have in zip(spec.dims, shape[1:], strict=True)):
        return None
    kind = column.dtype.kind
    if spec.datatype == "BOOL" or kind == "b":
        return column.reshape(shape) if spec.datatype == "BOOL" and kind == "b" else None
    if kind not in "fiu":
        return None
    is_float = spec.datatype in FLOATS
    narrow = _floats(column, spec.datatype, takes_nonfinite=True) if is_float else _integers(column, spec.datatype)
    return None if narrow is None else narrow.reshape(shape)


def _floats(array: Array, datatype: str, *, takes_nonfinite: bool) -> Array | None:
    """Bring numbers to the model's type; None where one is too large for it, or none at all and must be one."""
    target = np.dtype(NUMPY_TYPES[datatype])
    if array.dtype == target:
        return array if takes_nonfinite or np.isfinite(array).all() else None
    if target.itemsize < array.itemsize and array.dtype.kind == "f":
        is_exact = np.abs(array) <= _EXACT
        if not is_exact.all() and not (takes_nonfinite and (is_exact | ~np.isfinite(array)).all()):
            return None
    with np.errstate(over="ignore"):
        narrow = array.astype(target)
    is_finite = np.isfinite(narrow)
    if is_finite.all() or (takes_nonfinite and (is_finite == np.isfinite(array)).all()):
        return narrow
    return None


def _integers(array: Array, datatype: str) -> Array | None:
    """Bring numbers to the model's type; None where one is too large for it, or not whole."""
    if array.dtype.kind == "f" and not (np.isfinite(array) & (np.trunc(array) == array)).all():
        return None
    target = np.dtype(NUMPY_TYPES[datatype])
    bounds = np.iinfo(target)
    if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
        return None
    return array.astype(target, copy=False)


def is_single(spec: TensorSpec) -> bool:
    """Say whether a plain value can stand for the tensor of one record."""
    return bool(spec.dims) and math.prod(spec.dims) in {1, -1}
