"""Tell Celery workers to take no more tasks from a queue, or to take them again.

Celery's own remote control does it, so that any Celery app understands, on RabbitMQ and on Redis. The library blocks,
so it runs in one thread of its own. Both commands may be repeated: done twice is the same as done once.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from millrace_operator.errors import ControlError

_TRANSPORT_ERRORS: Final = (AMQPError, KombuError, RedisError, OSError)


class WorkerControl:
    """Remote control of the workers behind one broker."""

    def __init__(self, *, broker_url: str, timeout_seconds: float = 2.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._app = _controller(broker_url, timeout_seconds)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-control")

    async def cancel_consumer(self, queue: str, nodes: Collection[str]) -> frozenset[str]:
        """Tell these workers to take no more tasks from the queue; answers which of them will."""
        return await self._tell(self._app.control.cancel_consumer, queue, nodes)

    async def add_consumer(self, queue: str, nodes: Collection[str]) -> frozenset[str]:
        """Tell these workers to take tasks from the queue again; answers which of them will."""
        return await self._tell(self._app.control.add_consumer, queue, nodes)

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._app.close)
        self._thread.shutdown(wait=False)

    async def _tell(self, command: Callable[..., Any], queue: str, nodes: Collection[str]) -> frozenset[str]:
        if not nodes:
            return frozenset()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._broadcast, command, queue, sorted(nodes))
        except _TRANSPORT_ERRORS as error:
            # The text of a connection error may hold the URL with its password.
            raise ControlError(
                f"workers of queue {queue!r} could not be told to start or stop taking tasks ({type(error).__name__}): "
                "check that the broker is up and that the operator's user may use Celery's exchanges celery.pidbox and "
                "reply.celery.pidbox"
            ) from error

    def _broadcast(self, command: Callable[..., Any], queue: str, nodes: list[str]) -> frozenset[str]:
        # With a limit the answer of the last worker ends the wait; without one it always takes the whole time.
        answers = command(queue, destination=nodes, reply=True, limit=len(nodes), timeout=self._timeout_seconds)
        return frozenset(
            node for answer in answers or () for node, said in answer.items() if node in nodes and "ok" in said
        )


def _controller(broker_url: str, timeout_seconds: float) -> Any:
    app = Celery("millrace-operator-control", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_timeout=timeout_seconds,
        broker_connection_retry=False,
        broker_connection_max_retries=0,
        broker_heartbeat=0,
        broker_pool_limit=1,
    )
    return app
