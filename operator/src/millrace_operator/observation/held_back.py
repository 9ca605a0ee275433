"""Tasks that wait in no queue: the shards that jobs hold back while their window is full.

The job loop tells, the pool loop asks, both in one process. They are demand as much as what waits in a queue, only the
broker does not know of them. A pool asks after it has read its queue: otherwise the first tasks of a job may be seen
before anybody knows how many it has, and the pool would go up twice.
"""

from collections.abc import Awaitable, Callable, Mapping

Key = tuple[str, str]
"""Namespace and name of a WorkerPool."""


class HeldBackTasks:
    """How many tasks are held back for each pool, as it was told last."""

    def __init__(self) -> None:
        self._by_pool: Mapping[Key, int] = {}
        self._look_again: Callable[[], Awaitable[None]] | None = None

    def tell(self, by_pool: Mapping[Key, int]) -> None:
        """Replace what was told before."""
        self._by_pool = dict(by_pool)

    def look_again_by(self, look_again: Callable[[], Awaitable[None]]) -> None:
        """Name who looks again, and tells, before what was told is used."""
        self._look_again = look_again

    async def look_again(self) -> None:
        """Have it told anew, where it may have changed."""
        if self._look_again is not None:
            await self._look_again()

    def of(self, pool: Key) -> int:
        """Answer how many tasks are held back for a pool."""
        return self._by_pool.get(pool, 0)
