"""Wait for predictions: workers publish each answer on the channel that stands in the pending prediction.

This replica's own channel is subscribed all the time, so an answer to what it published comes by itself. To wait for a
prediction of another replica, its channel is subscribed first and the key read after, so that nothing falls between.
Pub/sub promises nothing, so whoever waits is also looked up: seldom while it works, often while it does not.
"""

import asyncio
import json
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from millrace_gateway.errors import Unavailable
from millrace_gateway.store import Answer, Store, is_final
from millrace_worker.logs import get_logger

LOOK_SECONDS: Final = 1.0
LOOK_SECONDS_WITHOUT_CHANNEL: Final = 0.1
RECONNECT_SECONDS: Final = 0.5
SUBSCRIBE_TIMEOUT_SECONDS: Final = 0.5
RECENT_ANSWERS: Final = 2000
RECENT_BYTES: Final = 16 * 2**20

log = get_logger(__name__)


class Answers:
    """Futures of answers by prediction id."""

    def __init__(self, client: Redis, store: Store, *, channel: str) -> None:
        self.channel = channel
        self._client = client
        self._store = store
        self._waiting: dict[str, list[asyncio.Future[Answer]]] = {}
        self._others: Counter[str] = Counter()
        self._subscribed: dict[str, asyncio.Event] = {}
        self._pubsub: Any = None
        self._recent: OrderedDict[str, tuple[Answer, int]] = OrderedDict()
        self._recent_bytes = 0

    def expect(self, *ids: str) -> "asyncio.Future[Answer]":
        """Answer a future of the first final answer to any of these; `forget` it when nobody waits any more."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        for each in ids:
            if each in self._recent and not future.done():
                # A worker can be faster than RabbitMQ's confirm of its task.
                future.set_result(self._recent[each][0])
            self._waiting.setdefault(each, []).append(future)
        return future

    def forget(self, future: "asyncio.Future[Answer]", *ids: str) -> None:
        """Stop waiting."""
        for each in ids:
            futures = self._waiting.get(each)
            if futures and future in futures:
                futures.remove(future)
                if not futures:
                    del self._waiting[each]

    def tell(self, answer: Answer) -> None:
        """Give an answer to all who wait for it."""
        for future in self._waiting.pop(str(answer["id"]), ()):
            if not future.done():
                future.set_result(answer)

    async def listen_to(self, channel: str) -> None:
        """Hear another replica's answers too, until `leave` is called as often."""
        if not channel or channel == self.channel:
            return
        self._others[channel] += 1
        pubsub = self._pubsub
        if pubsub is None:
            return
        heard = self._subscribed.setdefault(channel, asyncio.Event())
        try:
            if self._others[channel] == 1:
                await pubsub.subscribe(channel)
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT_SECONDS):
                await heard.wait()
        except (RedisError, OSError, TimeoutError) as error:
            # Looking the key up finds the answer as well, only later.
            log.warning("channel could not be subscribed; looking instead", channel=channel, error=str(error))

    async def leave(self, channel: str) -> None:
        """Stop hearing another replica's answers, if nobody else wants them."""
        if not channel or channel == self.channel:
            return
        self._others[channel] -= 1
        if self._others[channel] > 0:
            return
        del self._others[channel]
        self._subscribed.pop(channel, None)
        if self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except (RedisError, OSError, TimeoutError) as error:
                log.debug("channel could not be left; the next connection will not have it", error=str(error))

    async def run(self) -> None:
        """Hear answers for ever; a connection that breaks is made anew."""
        while True:
            try:
                await self._hear()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("Redis does not bring answers; looking for them instead", error=type(error).__name__)
            finally:
                self._pubsub = None
                self._subscribed.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def look(self) -> None:
        """Look up what is waited for, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS if self._pubsub else LOOK_SECONDS_WITHOUT_CHANNEL)
            try:
                await self.look_once()
            except Unavailable as error:
                log.debug("answers cannot be looked up", error=str(error))

    async def look_once(self) -> None:
        """Look up everything that is waited for now."""
        ids = list(self._waiting)
        for start in range(0, len(ids), 500):
            found = await self._store.read_as_written(ids[start : start + 500])
            for answer in found.values():
                if answer is not None and is_final(answer):
                    self.tell(answer)

    async def _hear(self) -> None:
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(self.channel, *self._others)
            self._pubsub = pubsub
            async for message in pubsub.listen():
                self.hear(message)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take what the subscription brings."""
        if message["type"] == "message":
            try:
                answer = json.loads(message["data"])
                self.tell(answer)
                self._remember(answer, len(message["data"]))
            except (ValueError, KeyError, TypeError) as error:
                log.warning("a message on the channel is no answer; it is left alone", error=type(error).__name__)
        elif message["type"] == "subscribe":
            self._subscribed.setdefault(message["channel"].decode(), asyncio.Event()).set()

    def _remember(self, answer: Answer, size: int) -> None:
        self._recent[str(answer["id"])] = (answer, size)
        self._recent_bytes += size
        while len(self._recent) > RECENT_ANSWERS or self._recent_bytes > RECENT_BYTES:
            _, (_, forgotten) = self._recent.popitem(last=False)
            self._recent_bytes -= forgotten
