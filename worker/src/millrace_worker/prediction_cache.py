"""Write answers into the cache of predictions, and read them. It may be away or absent: that costs time, nothing else.

A cache that fails is left alone for a while, so that a task loses at most one short timeout to it.
"""

from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import Any, Final

import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from millrace_contracts.predictions import CachedAnswer
from millrace_worker.logs import get_logger

TIMEOUT_SECONDS: Final = 0.25
"""An answer must not wait longer for the cache than it would save."""

LEFT_ALONE_SECONDS: Final = 5.0

KEYS_AT_ONCE: Final = 1000
"""More in one question could take longer than the timeout."""

log = get_logger(__name__)


class PredictionCache:
    """The cache as workers use it; gateways have their own way to read it."""

    def __init__(self, client: redis.Redis | None, *, clock: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._clock = clock
        self._left_alone_until = float("-inf")
        self.not_stored = 0
        """Answers that were not cached because the cache did not take them."""

    @classmethod
    def connect(cls, url: str) -> "PredictionCache":
        """Make the cache at this address, whose options go before these; without one, nothing is stored."""
        if not url:
            return cls(None)
        return cls(
            redis.Redis.from_url(
                url,
                socket_connect_timeout=TIMEOUT_SECONDS,
                socket_timeout=TIMEOUT_SECONDS,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),
            )
        )

    def look_up(self, keys: Collection[str]) -> dict[str, CachedAnswer]:
        """Answer what is known under these keys; nothing where the cache does not answer."""
        if self._client is None or not keys or self._clock() < self._left_alone_until:
            return {}
        wanted, found = list(keys), {}
        try:
            for start in range(0, len(wanted), KEYS_AT_ONCE):
                some = wanted[start : start + KEYS_AT_ONCE]
                texts: Any = self._client.mget(some)
                found.update({key: text for key, text in zip(some, texts, strict=True) if text is not None})
        except redis.exceptions.RedisError as error:
            self._leave_alone(error)
        return {key: answer for key, text in found.items() if (answer := _understood(text)) is not None}

    def store(self, answers: Mapping[str, CachedAnswer], *, ttl_seconds: int) -> None:
        """Keep answers under their keys for a while; what the cache does not take is counted, never raised."""
        if self._client is None or not answers or self._clock() < self._left_alone_until:
            self.not_stored += len(answers) if self._client else 0
            return
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for key, answer in answers.items():
                    pipe.set(key, answer.model_dump_json(), ex=ttl_seconds)
                results: list[Any] = pipe.execute(raise_on_error=False)
        except redis.exceptions.RedisError as error:
            self._leave_alone(error, len(answers))
            return
        refused = [result for result in results if isinstance(result, Exception)]
        if refused:
            self._leave_alone(refused[0], len(refused))

    def _leave_alone(self, error: Exception, not_stored: int = 0) -> None:
        self.not_stored += not_stored
        self._left_alone_until = self._clock() + LEFT_ALONE_SECONDS
        log.warning(
            "the cache does not serve; predictions go on without it",
            error=f"{type(error).__name__}: {error}",
            not_stored=self.not_stored,
            left_alone_seconds=LEFT_ALONE_SECONDS,
        )


def _understood(text: Any) -> CachedAnswer | None:
    try:
        return CachedAnswer.model_validate_json(text)
    except ValidationError:
        # Of another version of Millrace: as good as none, and replaced by the next answer.
        return None
