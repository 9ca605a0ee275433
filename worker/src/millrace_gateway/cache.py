"""Answers that workers kept, by version of the model; a cache that is away costs time and nothing else.

The version that serves is read anew for each look-up, so an answer of an old version is never given after a new one
serves. While it is not known there is no key, and so no cache. Versions change seldom, so the look-up goes out beside
that reading, under the version that served last; what it finds counts only if that version still serves.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError

from millrace_contracts.models import serving_key
from millrace_contracts.predictions import cache_key
from millrace_gateway.asked import Asked, Record
from millrace_gateway.metrics import Metrics
from millrace_gateway.pipelining import Pipelined
from millrace_worker.logs import get_logger

REST_SECONDS: Final = 1.0
"""A cache that did not answer is left alone for so long, so that its timeout is not added to each request."""

T = TypeVar("T")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer of the cache."""

    model_version: str
    outputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a record before it is computed."""

    key: str
    """Of its entry; "" while nobody knows which version serves."""
    kept: Kept | None = None


class Cache:
    """Looks answers up; workers write them."""

    def __init__(self, cache: Pipelined | None, state: Pipelined, metrics: Metrics) -> None:
        self._cache = cache
        self._state = state
        self._metrics = metrics
        self._rests_until = 0.0
        self._served_last: dict[str, str] = {}

    def is_wanted(self, asked: Asked) -> bool:
        """Say whether answers to this may come from the cache, or be shared."""
        return asked.may_use_cache and asked.model.cache_ttl_seconds > 0

    def version(self, asked: Asked) -> "asyncio.Future[str]":
        """Ask for the version that will answer: the one that was asked for, or the one that serves; "" if unknown."""
        return asyncio.ensure_future(self._version(asked))

    async def find(self, asked: Asked, record: Record, version: "asyncio.Future[str]") -> Found:
        """Look a record up under the version that is being asked for."""
        likely = asked.version or self._served_last.get(asked.model.name, "")
        found = await self._find(asked, record, likely)
        return found if likely == await version else await self._find(asked, record, await version)

    async def _find(self, asked: Asked, record: Record, version: str) -> Found:
        if not version:
            return Found("")
        key = cache_key(asked.model.name, version, record.value, asked.parameters)
        return Found(key, await self.look_up(asked, key))

    async def _version(self, asked: Asked) -> str:
        if asked.version:
            return asked.version
        try:
            serving = await self._state.ask("GET", serving_key(asked.model.name))
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(asked, error)
            return ""
        self._served_last[asked.model.name] = found = serving.decode() if serving else ""
        return found

    async def look_up(self, asked: Asked, key: str) -> Kept | None:
        """Answer what the cache holds; nothing where it does not answer."""
        text = await self.attempt(asked, lambda cache: cache.ask("GET", key))
        if text is None:
            return None
        try:
            found = json.loads(text)
            return Kept(str(found["model_version"]), dict(found["outputs"]))
        except (ValueError, KeyError, TypeError) as error:
            self._failed(asked, error)
            return None

    async def attempt(self, asked: Asked, command: Callable[[Pipelined], Awaitable[T]]) -> T | None:
        """Do something with the cache; None where there is none, or it does not answer."""
        if self._cache is None or monotonic() < self._rests_until:
            return None
        try:
            return await command(self._cache)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(asked, error)
            self._rests_until = monotonic() + REST_SECONDS
            return None

    def _failed(self, asked: Asked, error: Exception) -> None:
        self._metrics.cache(asked.model.name, "error")
        log.warning("the cache does not answer; computing instead", model=asked.model.name, error=type(error).__name__)
