"""Tasks that wait in no queue: the shards that jobs hold back while their window is full.

The job loop tells, the pool loop asks, both in one process. They are demand as much as what waits in a queue, only the
broker does not know of them.
"""

from collections.abc import Mapping

Key = tuple[str, str]
"""Namespace and name of a WorkerPool."""


class HeldBackTasks:
    """How many tasks are held back for each pool, as it was told last."""

    def __init__(self) -> None:
        self._by_pool: Mapping[Key, int] = {}

    def tell(self, by_pool: Mapping[Key, int]) -> None:
        """Replace what was told before."""
        self._by_pool = dict(by_pool)

    def of(self, pool: Key) -> int:
        """Answer how many tasks are held back for a pool."""
        return self._by_pool.get(pool, 0)
