"""What the administrative routes work with: the gateway's own connections, and Redis for code that blocks."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar

import redis
from aio_pika.abc import AbstractConnection
from fastapi import Depends, Request

from millrace_contracts.wire import Message

Answer = TypeVar("Answer")
REDIS_TIMEOUT_SECONDS: Final = 5.0


class Broker(Protocol):
    """RabbitMQ, as the gateway reaches it."""

    async def connection(self) -> AbstractConnection:
        """Answer the open connection."""

    async def publish(self, message: Message, queue: str) -> Any:
        """Publish a task; it is confirmed on return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminServices:
    """Made once for an app, on the first request that needs it."""

    broker: Broker
    redis: redis.Redis
    """The state Redis, answering text; for routes that run in threads."""
    queues: Sequence[str]
    """The work queues of all pools, which have the dead letters."""

    async def in_thread(self, question: Callable[[], Answer]) -> Answer:
        """Ask something that blocks without holding up the other requests."""
        return await asyncio.to_thread(question)


def get_services(request: Request) -> AdminServices:
    """Answer what the routes of this app work with."""
    state = request.app.state
    if not hasattr(state, "admin"):
        settings = state.gateway.settings
        state.admin = AdminServices(
            broker=state.gateway.broker,
            redis=redis.Redis.from_url(
                settings.redis_url.get_secret_value(),
                decode_responses=True,
                socket_timeout=REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            ),
            queues=tuple(settings.config.pools),
        )
    services: AdminServices = state.admin
    return services


Services = Annotated[AdminServices, Depends(get_services)]


async def get_connection(services: Services) -> AbstractConnection:
    """Answer RabbitMQ's connection, or refuse while there is none."""
    return await services.broker.connection()


RabbitMQ = Annotated[AbstractConnection, Depends(get_connection)]
