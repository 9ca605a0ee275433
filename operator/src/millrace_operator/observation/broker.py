"""Ask RabbitMQ itself how many messages wait: passive declares are live, while its gauges are up to 5 s old.

All questions are sent before the first answer is read, so that a read takes one round trip and not one a queue. A
question about a queue that does not exist, or may not be asked, makes the broker close the channel: what was asked
after it is asked again on a new one, and a queue that failed before is asked last. py-amqp blocks, so one thread of its
own holds the one connection.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from amqp import Connection, spec
from amqp.exceptions import AccessRefused, AMQPError, ChannelError, NotFound
from kombu.utils.url import parse_url

from millrace_operator.errors import ObservationError

AT_ONCE: Final = 500
"""Questions that are sent before an answer is read: both directions must fit the sockets' buffers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a passive declare answered. Zeros are also what a queue without a leader answers."""

    ready: int
    consumers: int


Answer = Declared | ObservationError | None
"""None: the queue does not exist. ObservationError: the broker refuses to tell of this one."""


class PassiveDeclares:
    """Asks all queues together on one connection, which is made anew after a failure."""

    def __init__(self, *, broker_url: str, timeout_seconds: float) -> None:
        self._broker_url = broker_url
        self._timeout_seconds = timeout_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passive-declares")
        self._connection: Any = None
        self._channel: Any = None
        self._failed: frozenset[str] = frozenset()

    async def read(self, queues: Collection[str]) -> Mapping[str, Answer]:
        """Ask for all of `queues`; raise ObservationError without a broker."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, tuple(queues))

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    def _read(self, queues: tuple[str, ...]) -> dict[str, Answer]:
        try:
            answers: dict[str, Answer] = {}
            waiting = sorted(queues, key=self._failed.__contains__)
            while waiting:
                self._ask(waiting[:AT_ONCE], answers)
                waiting = [queue for queue in waiting if queue not in answers]
        except (AMQPError, OSError) as error:
            self._drop()
            raise ObservationError(_sentence(error, _where(self._broker_url))) from error
        self._failed = frozenset(queue for queue, answer in answers.items() if not isinstance(answer, Declared))
        return answers

    def _ask(self, queues: Sequence[str], answers: dict[str, Answer]) -> None:
        """Send all questions, then take the answers, in order, up to the first that closes the channel."""
        if queues[0] in self._failed:
            queues = queues[:1]  # Most likely it fails again; what follows would be asked in vain.
        channel = self._open_channel()
        for queue in queues:
            # Channel.queue_declare would wait for each answer.
            channel.send_method(spec.Queue.Declare, "BsbbbbbF", (0, queue, True, False, False, False, False, None))
        for queue in queues:
            try:
                _, ready, consumers = channel.wait(spec.Queue.DeclareOk, returns_tuple=True)
            except ChannelError as error:
                self._channel = None  # The broker closed the channel with this answer.
                answers[queue] = None if isinstance(error, NotFound) else ObservationError(_refusal(error, queue))
                return
            answers[queue] = Declared(ready=ready, consumers=consumers)

    def _open_channel(self) -> Any:
        if self._connection is None:
            self._connect()
        if self._channel is None:
            self._channel = self._connection.channel()
        return self._channel

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


def _refusal(error: ChannelError, queue: str) -> str:
    return f"RabbitMQ tells nothing of queue {queue!r}; check spec.queue and the permissions of the operator ({error})"


def _sentence(error: BaseException, where: str) -> str:
    # py-amqp's messages hold the server's words and never the password.
    why = str(error) or type(error).__name__
    if isinstance(error, AccessRefused):
        return f"RabbitMQ at {where} refuses the operator's user; check MILLRACE_BROKER_URL and its permissions ({why})"
    return f"RabbitMQ is unreachable at {where} ({why})"
