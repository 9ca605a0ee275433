"""Say how long a pass may wait for others, so that the next one begins when it is due. Pure."""

from dataclasses import dataclass
from typing import Final

LEAST_SECONDS: Final = 0.02
"""Even a pass that is late waits for what it does and pauses for what it tells, so that both get on their way."""
WAITING_SHARE: Final = 0.7
"""Of the time from one pass to the next: until then what was begun is waited for. The rest is for telling of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Of one pass."""

    began: float
    """By the clock that never jumps, as each `now` here."""
    pass_seconds: float
    """From one pass to the next."""

    def patience(self, *, most: float, now: float) -> float:
        """Say how long to wait for what may as well go on in the background."""
        return min(most, max(LEAST_SECONDS, self.began + WAITING_SHARE * self.pass_seconds - now))
