"""When to stop reading because the queue is too long, and when to go on. Pure."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Flow:
    """Stops at the high-water mark and goes on below the low one, so that it does not flutter between them."""

    high_water_messages: int
    low_water_messages: int
    is_stopped: bool = False

    def observe(self, ready_messages: int | None) -> bool:
        """Take a reading of the queue and say whether to stop; an unknown one (None) leaves it as it was."""
        if ready_messages is None:
            return self.is_stopped
        if ready_messages >= self.high_water_messages:
            self.is_stopped = True
        elif ready_messages < max(self.low_water_messages, 1):
            self.is_stopped = False
        return self.is_stopped
