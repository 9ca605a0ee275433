"""Read a request's body within its limit, and JSON as JSON is: no NaN, no infinity, no text that is not Unicode."""

import json
import zlib
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from millrace_contracts.nesting import MAX_NESTING, is_too_deep
from millrace_gateway.errors import BodyTooLarge, NotSupported, RequestMalformed

MAX_LEVELS: Final = MAX_NESTING // 2
"""Of a body; the task around its records adds some."""

_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


async def read_body(request: Request, *, limit: int) -> bytes:
    """Read the whole body, unpacked, or raise BodyTooLarge before more than the limit is in memory."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
    except ClientDisconnect as error:
        raise RequestMalformed("the connection ended before the body did") from error
    return _unpacked(b"".join(parts), request.headers.get("content-encoding", "identity").lower(), limit)


def read_json(body: bytes) -> Any:
    """Read strict JSON, or raise RequestMalformed with the place where it is none."""
    if is_too_deep(body, levels=MAX_LEVELS):
        raise RequestMalformed(f"the body is nested deeper than {MAX_LEVELS} levels")
    try:
        return _DECODER.decode(body.decode())
    except json.JSONDecodeError as error:
        raise RequestMalformed(f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except UnicodeDecodeError as error:
        raise RequestMalformed(f"the body is not UTF-8: byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise RequestMalformed(f"the body is not usable JSON: {error}") from error


def as_json(value: Any) -> str:
    """Write a value as JSON, or raise ValueError if JSON has no such value."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair can be written in JSON and not in UTF-8.
    text.encode()
    return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in {"", "identity"}:
        return body
    if encoding not in _WINDOW_BITS:
        raise NotSupported(f'the content encoding "{encoding}" is not supported; use gzip, deflate or none')
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestMalformed(f"the body is not {encoding}, as Content-Encoding says") from error
    if len(unpacked) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise RequestMalformed(f"the {encoding} body ends too early")
    return unpacked


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit} bytes; send fewer records at once, or submit a PredictionJob")
