"""The only place that reads the clocks, so that everything else takes `now` as an argument and is tested without waiting."""

import time


class Clock:
    """The machine's clocks."""

    def now(self) -> float:
        """Read the wall clock, in seconds since the epoch: for what people and the API see."""
        return time.time()  # noqa: TID251 - the one place that reads it

    def monotonic_seconds(self) -> float:
        """Read the clock that never jumps: for intervals."""
        return time.monotonic()
