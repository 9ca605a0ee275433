"""Bodies within their limit, and JSON as JSON is."""

import asyncio
import gzip
import zlib
from collections.abc import Sequence

import pytest
from starlette.requests import Request

from millrace_gateway.bodies import read_body, read_json
from millrace_gateway.errors import BodyTooLarge, GatewayError, NotSupported, RequestMalformed


def read(parts: Sequence[bytes], *, limit: int = 100, **headers: str) -> bytes:
    messages = iter([{"type": "http.request", "body": part, "more_body": True} for part in parts])
    end = {"type": "http.request", "body": b"", "more_body": False}

    async def receive() -> dict[str, object]:
        return next(messages, end)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": "POST", "headers": raw}, receive)
    return asyncio.run(read_body(request, limit=limit))


def test_the_parts_of_a_body_are_put_together() -> None:
    assert b"abcd" == read([b"ab", b"cd"])


@pytest.mark.parametrize("headers", [{}, {"content_length": "101"}])
def test_a_body_beyond_the_limit_is_refused_whether_or_not_it_is_announced(headers: dict[str, str]) -> None:
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        read([b"x" * 60, b"x" * 41], **headers)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_bodies_are_unpacked_up_to_the_limit(encoding: str, pack: type[bytes]) -> None:
    assert b"x" * 100 == read([pack(b"x" * 100)], content_encoding=encoding)
    with pytest.raises(BodyTooLarge):
        read([pack(b"x" * 100_000)], limit=1000, content_encoding=encoding)


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (b"text", "gzip", RequestMalformed),
        (gzip.compress(b"text", mtime=0)[:-4], "gzip", RequestMalformed),
        (b"text", "br", NotSupported),
    ],
)
def test_a_body_that_is_not_what_its_encoding_says_is_refused(
    body: bytes, encoding: str, kind: type[GatewayError]
) -> None:
    with pytest.raises(kind):
        read([body], content_encoding=encoding)


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"x": NaN}', b'{"x": -Infinity}', b"\xff", b"[" * 100_000, b"9" * 10_000]
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(RequestMalformed):
        read_json(text)


def test_what_is_nested_too_deep_for_the_processes_behind_is_refused() -> None:
    with pytest.raises(RequestMalformed, match="nested deeper than 32 levels"):
        read_json(b'{"inputs": {"x": ' + b"[" * 40 + b"]" * 40 + b"}}")
