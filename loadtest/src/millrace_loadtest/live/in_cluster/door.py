"""A door in front of a server: forwards TCP while open; shut, it cuts what goes through and lets nothing in.

usage: door.py HOST PORT... ; the signal USR1 shuts it, USR2 opens it.
"""

import asyncio
import signal
import sys
from functools import partial

CHUNK = 65_536


class Door:
    """The connections that go through it."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._is_open = True
        self._passing: set[asyncio.StreamWriter] = set()

    def open(self) -> None:
        """Let connections in."""
        self._is_open = True

    def shut(self) -> None:
        """Cut what goes through, and let nothing in."""
        self._is_open = False
        for writer in self._passing:
            writer.transport.abort()

    async def let_in(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter, *, port: int) -> None:
        """Connect a client with the server, unless shut."""
        if not self._is_open:
            answer.transport.abort()
            return
        server, request = await asyncio.open_connection(self._host, port)
        both = {answer, request}
        self._passing |= both
        try:
            await asyncio.gather(pump(client, request), pump(server, answer))
        finally:
            self._passing -= both


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


async def main(host: str, ports: list[int]) -> None:
    """Listen on the server's own ports."""
    door, loop = Door(host), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, door.shut)
    loop.add_signal_handler(signal.SIGUSR2, door.open)
    for port in ports:
        await asyncio.start_server(partial(door.let_in, port=port), port=port)
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
