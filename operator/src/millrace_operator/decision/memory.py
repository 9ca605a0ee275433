"""What a pool's next decision must know of those before it, and what of that survives a restart of the operator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from millrace_operator.decision.history import History
from millrace_operator.decision.keep_alive import Ladder
from millrace_operator.decision.known_future import Foresight
from millrace_operator.decision.stabilisation import Staircase

REMEMBERED_STARTS: Final = 20
DEFAULT_COLD_START_SECONDS: Final = 10.0
"""Until a pod was seen to start."""
_PERCENTILE: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of one pool. A pool that is seen for the first time has none."""

    stairs: Staircase = ()
    failures: int = 0
    """Passes in a row in which the queue could not be read."""
    history: History = field(default_factory=History)
    service_seconds: float | None = None
    """The last measured one: tasks of a pool that sleeps stay as long as they were."""
    cold_starts: tuple[float, ...] = ()
    ladder: Ladder = ()
    foresight: Foresight = field(default_factory=Foresight)

    @property
    def cold_start_seconds(self) -> float | None:
        """90th percentile of the last starts; None before the first."""
        if not self.cold_starts:
            return None
        ranked = sorted(self.cold_starts)
        return ranked[min(len(ranked) - 1, math.ceil(_PERCENTILE * len(ranked)) - 1)]


def recall(status: Mapping[str, Any]) -> Memory | None:
    """Take what a pool's status remembers, for an operator that has just started; None when it says nothing."""
    service, cold = _number(status.get("serviceSeconds")), _number(status.get("coldStartSeconds"))
    if service is None and cold is None:
        return None
    return Memory(service_seconds=service, cold_starts=() if cold is None else (cold,))


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None  # Absent, or written by another version: then it is measured anew.
    return value if 0 < value < math.inf else None
