"""RabbitMQ: one connection that comes back by itself, and tasks that are confirmed or reported as not taken."""

import asyncio
from typing import Final

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractRobustChannel, AbstractRobustConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError, PublishError

from millrace_contracts import queues
from millrace_contracts.wire import Message
from millrace_gateway.errors import Unavailable
from millrace_worker.logs import get_logger

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
CONNECT_TIMEOUT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 15

log = get_logger(__name__)


class Broker:
    """The gateway's connection to RabbitMQ."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractRobustConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._channel: AbstractRobustChannel | None = None
        self._declared: set[str] = set()
        self._opening = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        """Whether tasks can be published now."""
        connection = self._connection
        return connection is not None and not connection.is_closed and connection.connected.is_set()

    async def run(self) -> None:
        """Connect, as often as it takes; from then on the connection comes back by itself."""
        while self._connection is None:
            try:
                self._connection = await aio_pika.connect_robust(
                    self._url,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    heartbeat=HEARTBEAT_SECONDS,
                    reconnect_interval=RETRY_SECONDS,
                    client_properties={"connection_name": "millrace-gateway"},
                )
            except (AMQPError, OSError, TimeoutError) as error:
                log.warning("RabbitMQ does not answer; requests are refused until it does", error=_kind(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def connection(self) -> AbstractRobustConnection:
        """Answer the connection, or raise Unavailable while there is none."""
        self.refuse_if_away()
        assert self._connection is not None  # noqa: S101 - it was refused otherwise
        return self._connection

    def refuse_if_away(self) -> None:
        """Raise Unavailable while there is no connection."""
        if not self.is_connected:
            raise Unavailable("RabbitMQ does not answer; try again later")

    async def publish(self, message: Message, queue: str) -> None:
        """Publish a task to a queue and wait for the confirm, or raise Unavailable."""
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_SECONDS):
                try:
                    await self._publish(message, queue)
                except PublishError:
                    # The queue is not there: no worker of its pool has ever run, and the chart did not make it.
                    await self._declare(queue)
                    await self._publish(message, queue)
        except (DeliveryError, PublishError) as error:
            raise Unavailable(f"RabbitMQ does not take messages for queue {queue}; it may be full") from error
        except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, RuntimeError) as error:
            raise Unavailable("RabbitMQ did not confirm the task; try again later") from error

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _publish(self, message: Message, queue: str) -> None:
        exchange = await self._open_exchange()
        await exchange.publish(
            aio_pika.Message(
                message.body,
                headers=dict(message.headers),
                content_type=message.properties["content_type"],
                content_encoding=message.properties["content_encoding"],
                correlation_id=message.properties["correlation_id"],
                delivery_mode=message.properties["delivery_mode"],
            ),
            routing_key=queue,
            mandatory=True,
        )

    async def _open_exchange(self) -> AbstractExchange:
        connection = await self.connection()
        if self._exchange is not None:
            return self._exchange
        async with self._opening:
            if self._exchange is None:
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                self._exchange = await channel.declare_exchange(
                    queues.EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True
                )
        return self._exchange

    async def _declare(self, queue: str) -> None:
        """Make a queue and its dead-letter queue as workers make them; what exists is left as it is."""
        connection = await self.connection()
        async with connection.channel() as channel:
            topic = aio_pika.ExchangeType.TOPIC
            dead = await channel.declare_exchange(queues.DEAD_LETTER_EXCHANGE, topic, durable=True)
            name = queues.dead_letter_queue(queue)
            letters = await channel.declare_queue(name, durable=True, arguments=dict(queues.QUEUE_ARGUMENTS))
            await letters.bind(dead, routing_key=f"#.{queue}")
            work = await channel.declare_queue(queue, durable=True, arguments=dict(queues.QUEUE_ARGUMENTS))
            await work.bind(queues.EXCHANGE, routing_key=queue)
        log.info("queue was not there and has been made", queue=queue)


def _kind(error: BaseException) -> str:
    # Messages of connection errors may hold the address with its password.
    return type(error).__name__
