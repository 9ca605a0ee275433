"""Commands that are asked for at the same time go to Redis in one go, on one connection.

A request needs a handful of small commands, and many requests are at work at once. One pipeline after the other costs a
fraction of what a connection for each command costs, and an answer comes as soon as with a command of its own.
"""

import asyncio
from collections import deque
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

MAX_COMMANDS: Final = 500


class Pipelined:
    """Sends commands to one Redis; each answer, or error, comes to whoever asked."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: deque[tuple[tuple[Any, ...], asyncio.Future[Any]]] = deque()
        self._sender: asyncio.Task[None] | None = None

    def ask(self, *command: Any) -> asyncio.Future[Any]:
        """Ask for a command with the next pipeline; the answer raises RedisError or OSError if there is none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, future))
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        return future

    async def _send(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), MAX_COMMANDS)
                batch = [self._waiting.popleft() for _ in range(count)]
                await self._send_batch(batch)
        finally:
            self._sender = None

    async def _send_batch(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        answers: list[Any]
        try:
            pipeline = self._client.pipeline(transaction=False)
            # Answers as Redis gives them: the library would make a boolean of what SET with GET answers.
            pipeline.response_callbacks = {}
            for command, _ in batch:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
