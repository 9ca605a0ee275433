"""The only place that reads the clocks: everything else takes `now` as an argument and is tested without waiting."""

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Read the wall clock, in UTC: for what people and the API see."""
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads it

    def monotonic_seconds(self) -> float:
        """Read the clock that never jumps: for intervals."""
        return time.monotonic()
