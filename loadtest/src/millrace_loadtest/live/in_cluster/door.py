"""A door in front of a server: forwards TCP while open; shut, it cuts what goes through and lets nothing in.

usage: door.py HOST PORT... ; shut while the file /tmp/shut exists.
"""

import asyncio
import sys
from pathlib import Path

SHUT = Path("/tmp/shut")  # noqa: S108 - of this container alone
LOOK_SECONDS = 0.1
CHUNK = 65_536
passing: set[asyncio.StreamWriter] = set()


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Carry bytes one way until either side ends."""
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    except OSError:
        pass  # cut, by the door or by a peer: either way this connection is over
    finally:
        target.close()


async def pass_through(client: asyncio.StreamReader, answer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Connect a client with the server, unless shut."""
    if SHUT.exists():
        answer.transport.abort()
        return
    server, request = await asyncio.open_connection(host, port)
    passing.update((answer, request))
    try:
        await asyncio.gather(pump(client, request), pump(server, answer))
    finally:
        passing.difference_update((answer, request))


async def main(host: str, ports: list[int]) -> None:
    """Listen on the server's own ports, and cut everything when the door is shut."""
    for port in ports:
        await asyncio.start_server(
            lambda reader, writer, port=port: pass_through(reader, writer, host, port), port=port
        )
    while True:
        if SHUT.exists():
            for writer in list(passing):
                writer.transport.abort()
        await asyncio.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
