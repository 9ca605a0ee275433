"""Wait for a condition with a limit; the only way in which tests let time pass."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(
    condition: Callable[[], Value | None],
    *,
    what: str,
    timeout_seconds: float = 60.0,
    interval_seconds: float = 0.25,
    explain: Callable[[], object] | None = None,
) -> Value:
    """Return the first truthy answer of `condition`; fail with `what` and what was seen last when time is up.

    An exception of `condition` ends the wait at once: a condition that is not readable yet says so by returning None.
    `explain` is called once, on failure, to show the state that explains it.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > deadline:
            detail = f"; {explain()}" if explain else ""
            message = f"waited {timeout_seconds:g} s in vain for {what}; last seen: {seen!r}{detail}"
            raise AssertionError(message)
        pause.wait(interval_seconds)
