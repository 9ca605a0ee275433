"""One connection to RabbitMQ: publish without waiting, hear what was confirmed, ask how long the queue is.

A message of the client library waits for its own confirm, which costs a round trip each. Here many are on their way at
once; the broker's acks name them by number.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import amqp
from kombu import Connection
from kombu.exceptions import OperationalError

from millrace_contracts.queues import EXCHANGE
from millrace_contracts.wire import Message
from millrace_ingest.errors import BrokerUnavailable
from millrace_worker import topology

CONNECT_SECONDS: Final = 3.0
"""Shorter than a session with Kafka: the loop that connects is the one that polls."""

ANSWER_SECONDS: Final = 10.0
"""RabbitMQ stops reading from publishers while it is short of memory or disk."""

HEARTBEAT_SECONDS: Final = 20


class Link:
    """An open connection with two channels: one publishes, the other asks about the queue."""

    def __init__(self, url: str, queue: str, *, on_settled: Callable[[int, bool], None]) -> None:
        """Connect and declare the queue.

        `on_settled` is told numbers of messages (counted from 1), and whether the queue has them.

        Raises:
            BrokerUnavailable: RabbitMQ does not answer.
        """
        self._queue = queue
        self._on_settled = on_settled
        self._last_number = 0
        self._waiting: dict[int, str] = {}
        self._returned: set[str] = set()
        limits = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
        self._connection = Connection(
            url, connect_timeout=CONNECT_SECONDS, heartbeat=HEARTBEAT_SECONDS, transport_options=limits
        )
        with _translated("connect"):
            try:
                self._connect()
            except BaseException:
                self.drop()
                raise

    def _connect(self) -> None:
        # Each address once: who waits between attempts is the caller, which polls Kafka meanwhile.
        self._connection.ensure_connection(max_retries=max(len(self._connection.alt) - 1, 0))
        self._amqp = self._connection.connection
        topology.declare(self._connection, self._queue)
        self._channel = self._amqp.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._acked)
        self._channel.events["basic_nack"].add(self._nacked)
        self._channel.events["basic_return"].add(self._was_returned)
        self._questions = self._amqp.channel()

    def declare(self) -> None:
        """Make the queue if it is missing."""
        with _translated(f"declare queue {self._queue}"):
            topology.declare(self._connection, self._queue)

    def publish(self, message: Message) -> int:
        """Send a message to the queue; answers its number, which is settled later."""
        self._last_number += 1
        number = self._last_number
        # Before it is sent: the client reads what the broker says while it publishes.
        self._waiting[number] = message.properties["correlation_id"]
        with _translated("take a message"):
            self._channel.basic_publish(
                amqp.Message(message.body, application_headers=dict(message.headers), **message.properties),
                exchange=EXCHANGE,
                routing_key=self._queue,
                mandatory=True,
                timeout=ANSWER_SECONDS,
            )
        return number

    def listen(self, seconds: float) -> None:
        """Take in what the broker says, for as long as it says something, and wait at most `seconds` for the first."""
        with _translated("confirm messages"):
            self._amqp.heartbeat_tick()
            wait = seconds
            with contextlib.suppress(TimeoutError):
                while True:
                    self._amqp.drain_events(timeout=wait)
                    wait = 0.0

    def ready_messages(self) -> int:
        """Ask how many messages wait in the queue."""
        with _translated(f"say how long queue {self._queue} is"):
            return int(self._questions.queue_declare(self._queue, passive=True).message_count)

    def close(self) -> None:
        """End the connection as the protocol wants it."""
        with contextlib.suppress(OperationalError, amqp.AMQPError, OSError):
            self._connection.release()

    def drop(self) -> None:
        """End the connection without a word: to wait for an answer of a broker that is away takes its time."""
        self._connection.collect()

    def _acked(self, number: int, multiple: bool) -> None:  # noqa: FBT001 - the client library calls it so
        for settled in self._numbers(number, multiple=multiple):
            task_id = self._waiting.pop(settled)
            # An unroutable message is returned first, and then confirmed.
            is_queued = task_id not in self._returned
            self._returned.discard(task_id)
            self._on_settled(settled, is_queued)

    def _nacked(self, number: int, multiple: bool) -> None:  # noqa: FBT001 - the client library calls it so
        for settled in self._numbers(number, multiple=multiple):
            del self._waiting[settled]
            self._on_settled(settled, False)

    def _was_returned(self, _error: object, _exchange: str, _key: str, message: Any) -> None:
        self._returned.add(message.properties["correlation_id"])

    def _numbers(self, number: int, *, multiple: bool) -> list[int]:
        # Numbers only grow, so the dictionary is in their order.
        return [waiting for waiting in self._waiting if waiting <= number] if multiple else [number]


@contextlib.contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except amqp.exceptions.NotFound as error:
        raise BrokerUnavailable(f"RabbitMQ cannot {action}: {error.reply_text}") from error
    except (OperationalError, amqp.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"RabbitMQ does not {action}: {type(error).__name__}: {error}") from error
