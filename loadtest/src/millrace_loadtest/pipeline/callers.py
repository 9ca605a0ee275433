"""Callers of the gateway that cost little themselves: one connection each, and no more HTTP than a benchmark needs."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

LIMIT_SECONDS: Final = 60.0


class Caller:
    """One connection to a gateway of this machine."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any) -> tuple[int, bytes]:
        """Send a request and answer status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = json.dumps(body).encode()
        writer.write(f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        async with asyncio.timeout(LIMIT_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            return int(head[9:12]), await reader.readexactly(length)

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()


@asynccontextmanager
async def calling(count: int, *, port: int, key: str) -> Any:
    """Have some callers."""
    callers = [Caller(port, key) for _ in range(count)]
    try:
        yield callers
    finally:
        for caller in callers:
            caller.close()


async def timed(caller: Caller, path: str, bodies: Sequence[Any], *, accept: Callable[[bytes], bool]) -> list[float]:
    """Send one request after the other; answers the milliseconds of each. Raises RuntimeError for a wrong answer."""
    taken = []
    for body in bodies:
        began = perf_counter()
        status, answer = await caller.post(path, body)
        taken.append((perf_counter() - began) * 1000)
        _check(status, answer, accept)
    return taken


async def throughput(
    callers: Sequence[Caller], path: str, bodies: Iterator[Any], *, seconds: float, accept: Callable[[bytes], bool]
) -> float:
    """Let each caller send its next record as soon as it has its answer; answers records a second."""
    done = 0
    began = perf_counter()

    async def call(caller: Caller) -> None:
        nonlocal done
        while perf_counter() - began < seconds:
            status, answer = await caller.post(path, next(bodies))
            _check(status, answer, accept)
            done += 1

    await asyncio.gather(*(call(caller) for caller in callers))
    return done / (perf_counter() - began)


def _check(status: int, answer: bytes, accept: Callable[[bytes], bool]) -> None:
    if status != 200 or not accept(answer):  # noqa: PLR2004 - HTTP
        raise RuntimeError(f"the gateway answered {status}: {answer[:300]!r}")
