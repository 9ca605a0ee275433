"""Tell in Redis what a new task of each queue will wait, so that a gateway can refuse what would come too late."""

from collections.abc import Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from millrace_contracts.pool_waits import STALE_AFTER_SECONDS, WAITS_KEY, PoolWait
from millrace_operator.model.reading import Unknown
from millrace_operator.reporting.report import PoolReport

# An operator that is gone leaves nothing behind for long; readers go by the time of each reading anyway.
# As redis declares the fields of a hash.
_Text = bytes | bytearray | memoryview | str | int | float
_TTL_SECONDS: Final = int(4 * STALE_AFTER_SECONDS)

log = structlog.get_logger("millrace.pools")


class WaitBoard:
    """The waits of all pools, replaced as a whole."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._trouble = ""

    async def show(self, reports: Sequence[PoolReport], *, now: float) -> None:
        """Replace what is there; a Redis that is away is logged once, and readers find the waits unknown."""
        waits: dict[_Text, _Text] = {r.pool.queue: wait_of(r, now=now).model_dump_json() for r in reports}
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(WAITS_KEY)
                if waits:
                    pipeline.hset(WAITS_KEY, mapping=waits)
                    pipeline.expire(WAITS_KEY, _TTL_SECONDS)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            if not self._trouble:
                log.warning("gateways do not know the waits until Redis answers; they refuse nothing", error=str(error))
            self._trouble = str(error)
        else:
            self._trouble = ""


def wait_of(report: PoolReport, *, now: float) -> PoolWait:
    """Answer the wait of a pool's newest task; None where its queue cannot be read."""
    is_known = not isinstance(report.reading, Unknown)
    return PoolWait(
        pool=report.pool.name,
        wait_seconds=report.estimates.wait_seconds if is_known else None,
        objective_seconds=report.pool.policy.objective.wait_seconds,
        read_at=now,
    )
