"""Ask RabbitMQ itself how many messages wait: passive declares are live, while its gauges are up to 5 s old.

py-amqp blocks, so one thread of its own holds the one connection.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from amqp import Connection
from amqp.exceptions import AMQPError, NotFound
from kombu.utils.url import parse_url

from millrace_operator.errors import ObservationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a passive declare answered. Zeros are also what a queue without a leader answers."""

    ready: int
    consumers: int


class PassiveDeclares:
    """Asks one queue after the other on one connection, which is made anew after a failure."""

    def __init__(self, *, broker_url: str, timeout_seconds: float) -> None:
        self._broker_url = broker_url
        self._timeout_seconds = timeout_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passive-declares")
        self._connection: Any = None
        self._channel: Any = None

    async def read(self, queues: Collection[str]) -> Mapping[str, Declared | None]:
        """Ask for all of `queues`; None is a queue that does not exist. Raise ObservationError without a broker."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, tuple(queues))

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    def _read(self, queues: tuple[str, ...]) -> dict[str, Declared | None]:
        try:
            return {queue: self._declare(queue) for queue in queues}
        except (AMQPError, OSError) as error:
            self._drop()
            raise ObservationError(f"RabbitMQ is unreachable at {_where(self._broker_url)} ({_why(error)})") from error

    def _declare(self, queue: str) -> Declared | None:
        if self._connection is None:
            self._connect()
        if self._channel is None:
            self._channel = self._connection.channel()
        try:
            answer = self._channel.queue_declare(queue=queue, passive=True)
        except NotFound:
            self._channel = None  # The broker closes the channel with this answer.
            return None
        return Declared(ready=answer.message_count, consumers=answer.consumer_count)

    def _connect(self) -> None:
        limit = self._timeout_seconds
        parts = parse_url(self._broker_url)
        # Without heartbeats: the reads themselves, one each second, notice a dead connection within the limit.
        connection = Connection(
            host=_where(self._broker_url),
            userid=parts["userid"] or "guest",
            password=parts["password"] or "guest",
            virtual_host=parts["virtual_host"] or "/",
            ssl={"server_hostname": parts["hostname"]} if parts["transport"] == "amqps" else False,
            heartbeat=0,
            connect_timeout=limit,
            read_timeout=limit,
            write_timeout=limit,
        )
        self._connection = connection
        connection.connect()

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            # It may be broken, and closing it in order would wait for an answer; nothing of it is needed any more.
            with contextlib.suppress(AMQPError, OSError):
                connection.collect()


def _where(broker_url: str) -> str:
    parts = parse_url(broker_url)
    return f"{parts['hostname']}:{parts['port'] or 5672}"


def _why(error: BaseException) -> str:
    # py-amqp's messages hold the server's words and never the password.
    return str(error) or type(error).__name__
