"""Refuse work that would wait longer than its pool promises, by what the operator expects; unknown refuses nobody."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic import ValidationError
from redis.exceptions import RedisError

from millrace_contracts.pool_waits import STALE_AFTER_SECONDS, WAITS_KEY, PoolWait
from millrace_gateway.errors import TooManyRequests
from millrace_gateway.pipelining import Pipelined
from millrace_worker.logs import get_logger

READ_SECONDS: Final = 1.0
"""As often as the operator writes."""
LONGEST_RETRY_SECONDS: Final = 600

log = get_logger(__name__)


class Admission:
    """The expected wait of each queue, as last read."""

    def __init__(self, state: Pipelined, queues: Sequence[str], *, now: Callable[[], float]) -> None:
        self._state = state
        self._queues = queues
        self._now = now
        self._waits: Mapping[str, PoolWait] = {}

    def check(self, queue: str) -> None:
        """Raise TooManyRequests if a new task of this queue would wait longer than its objective."""
        refuse_if_late(self._waits.get(queue), now=self._now())

    async def run(self) -> None:
        """Read the waits again and again."""
        while self._queues:
            await self.read()
            await asyncio.sleep(READ_SECONDS)

    async def read(self) -> None:
        """Read the waits once; what cannot be read stays as it was until it is too old to count."""
        try:
            texts = await self._state.ask("HMGET", WAITS_KEY, *self._queues)
            self._waits = {
                queue: PoolWait.model_validate_json(text)
                for queue, text in zip(self._queues, texts, strict=True)
                if text is not None
            }
        except (RedisError, OSError, TimeoutError, ValidationError) as error:
            log.warning("expected waits cannot be read; nobody is refused for them", error=type(error).__name__)


def refuse_if_late(wait: PoolWait | None, *, now: float) -> None:
    """Raise TooManyRequests if the wait is known, fresh and above the objective."""
    if wait is None or wait.wait_seconds is None or now - wait.read_at > STALE_AFTER_SECONDS:
        return
    late = wait.wait_seconds - wait.objective_seconds
    if late <= 0:
        return
    retry_after = min(LONGEST_RETRY_SECONDS, max(1, math.ceil(late)))
    raise TooManyRequests(
        f"pool {wait.pool} is busy: a new task would wait {wait.wait_seconds:.0f} s, and its objective is "
        f"{wait.objective_seconds:.0f} s; try again after {retry_after} s",
        retry_after_seconds=retry_after,
    )
