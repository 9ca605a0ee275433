"""Tensors of the Open Inference Protocol to JSON values and back, in both of their forms: JSON and bytes."""

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from millrace_gateway.errors import NotSupported, RequestMalformed

Array = npt.NDArray[Any]

NUMPY_TYPES: Final[Mapping[str, str]] = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_FLOATS: Final[frozenset[type]] = frozenset({float, int, type(None)})
_KINDS: Final[Mapping[str, frozenset[type]]] = {
    "BOOL": frozenset({bool}),
    "FP16": _FLOATS,
    "FP32": _FLOATS,
    "FP64": _FLOATS,
}
_LENGTH: Final = struct.Struct("<I")


def from_bytes(raw: bytes, datatype: str, shape: Sequence[int], name: str) -> Any:
    """Read a tensor of bytes as nested lists."""
    count = math.prod(shape)
    if datatype == "BYTES":
        return _nested(_texts(raw, count, name), shape)
    array = np.frombuffer(raw, dtype=_type(datatype, name)) if _fits(raw, datatype, count, name) else None
    if array is None:
        raise RequestMalformed(f'input "{name}" has {len(raw)} bytes, which is not {datatype} of shape {list(shape)}')
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotSupported(f'input "{name}" holds a number that is not finite, which a task cannot carry')
    return array.reshape(shape).tolist()


def from_json(data: Any, shape: Sequence[int], name: str) -> Any:
    """Read a tensor of JSON, flat or nested, as nested lists of the shape."""
    flat = _flat(data)
    if len(flat) != math.prod(shape):
        raise RequestMalformed(f'input "{name}" has {len(flat)} elements, and its shape {list(shape)} another number')
    return _nested(flat, shape)


def to_array(values: Any, datatype: str, name: str) -> Array:
    """Make an array of an output's JSON values; null stands for a number that JSON does not have."""
    if datatype == "BYTES":
        return np.array(values, dtype=object)
    # As objects: numpy makes floats of large and small integers together.
    array = np.array(values, dtype=object)
    kinds = set(map(type, array.ravel().tolist()))
    if kinds - _KINDS.get(datatype, {int}):
        raise NotSupported(f'output "{name}" is not of the datatype {datatype} that the model was described with')
    array[array == None] = np.nan  # noqa: E711 - element by element
    try:
        return array.astype(_type(datatype, name))
    except (ValueError, TypeError, OverflowError) as error:
        raise NotSupported(
            f'output "{name}" is not of the datatype {datatype} that the model was described with'
        ) from error


def to_bytes(array: Array, datatype: str) -> bytes:
    """Write a tensor as bytes."""
    if datatype != "BYTES":
        return array.tobytes()
    parts = []
    for value in array.ravel().tolist():
        raw = _raw(value)
        parts += [_LENGTH.pack(len(raw)), raw]
    return b"".join(parts)


def to_json(array: Array, datatype: str, name: str) -> list[Any]:
    """Write a tensor as flat JSON values."""
    if datatype == "BYTES":
        try:
            return [_raw(value).decode() for value in array.ravel().tolist()]
        except UnicodeDecodeError as error:
            raise NotSupported(f'output "{name}" is not text; ask for it with binary_data') from error
    flat: list[Any] = array.ravel().tolist()
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in flat]


def _raw(value: Any) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return str(value).encode()


def _type(datatype: str, name: str) -> str:
    kind = NUMPY_TYPES.get(datatype)
    if kind is None:
        raise NotSupported(f'"{name}" has the datatype {datatype}, which this gateway cannot carry')
    return kind


def _fits(raw: bytes, datatype: str, count: int, name: str) -> bool:
    return len(raw) == count * np.dtype(_type(datatype, name)).itemsize


def _texts(raw: bytes, count: int, name: str) -> list[str]:
    texts: list[str] = []
    at = 0
    try:
        while at < len(raw):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
            if at + length > len(raw):
                raise RequestMalformed(f'input "{name}": a text is longer than the bytes that are left')
            texts.append(raw[at : at + length].decode())
            at += length
    except struct.error as error:
        raise RequestMalformed(f'input "{name}" ends in the middle of a length') from error
    except UnicodeDecodeError as error:
        raise NotSupported(f'input "{name}" holds bytes that are not UTF-8, which a task cannot carry') from error
    if len(texts) != count:
        raise RequestMalformed(f'input "{name}" has {len(texts)} texts, and its shape {count}')
    return texts


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        return [data]
    level: list[Any] = data
    while level and isinstance(level[0], list):
        if not all(isinstance(each, list) for each in level):
            raise RequestMalformed("the data of an input mixes lists and values")
        level = [value for each in level for value in each]
    return level


def _nested(flat: Sequence[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return flat[0]
    for size in reversed(shape[1:]):
        flat = [list(flat[i : i + size]) for i in range(0, len(flat), size)] if size else []
    return list(flat)
