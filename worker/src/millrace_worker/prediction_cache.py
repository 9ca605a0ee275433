"""Write answers into the cache of predictions, which may be away or absent: then answers cost time, nothing else.

A cache that fails is left alone for a while, so that a task loses at most one short timeout to it.
"""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from millrace_contracts.predictions import CachedAnswer
from millrace_worker.logs import get_logger

TIMEOUT_SECONDS: Final = 0.25
"""An answer must not wait longer for the cache than it would save."""

LEFT_ALONE_SECONDS: Final = 5.0

log = get_logger(__name__)


class PredictionCache:
    """The writing side; gateways read."""

    def __init__(self, client: redis.Redis | None, *, clock: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._clock = clock
        self._left_alone_until = float("-inf")
        self.not_stored = 0
        """Answers that were not cached because the cache did not take them."""

    @classmethod
    def connect(cls, url: str) -> "PredictionCache":
        """Make the cache at this address; without one, nothing is stored."""
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

    def _leave_alone(self, error: Exception, count: int) -> None:
        self.not_stored += count
        self._left_alone_until = self._clock() + LEFT_ALONE_SECONDS
        log.warning(
            "the cache takes no answers; predictions go on without it",
            error=f"{type(error).__name__}: {error}",
            not_stored=self.not_stored,
            left_alone_seconds=LEFT_ALONE_SECONDS,
        )
