"""What the pool loop asks of whoever reads the queues."""

from collections.abc import Collection, Mapping
from typing import Protocol

from millrace_operator.model.reading import Reading


class QueueObserver(Protocol):
    """Reads queues. Never raises for a broker that is away: that is a reading too, Unknown with its reason."""

    async def observe(self, queues: Collection[str]) -> Mapping[str, Reading]:
        """Read all of `queues` at once; the answer has each of them."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...
