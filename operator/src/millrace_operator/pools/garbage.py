"""Collect garbage in the pause between two passes, where nobody waits for it.

Python collects when enough objects were made, which is in the midst of a pass: with a thousand pools for 0.2 s.
"""

import gc
from collections.abc import Sequence
from typing import Final

LEAST_PAUSE_SECONDS: Final = 0.2
"""In a shorter one it would delay the next pass."""


def due_generation(counts: Sequence[int], thresholds: Sequence[int]) -> int | None:
    """Say up to which generation Python will collect before long; None where it will not. Pure."""
    young, *older = counts
    if 2 * young < thresholds[0] or not thresholds[0]:
        return None
    return max((number for number, count in enumerate(older, start=1) if count > thresholds[number]), default=0)


def collect_garbage(*, pause_seconds: float) -> None:
    """Do now what would be done in a pass, if the pause is long enough; otherwise Python does it by itself."""
    generation = due_generation(gc.get_count(), gc.get_threshold())
    if generation is not None and pause_seconds >= LEAST_PAUSE_SECONDS:
        gc.collect(generation)
