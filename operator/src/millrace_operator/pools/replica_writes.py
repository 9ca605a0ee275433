"""What we wrote into a Deployment's replicas, and what somebody else did. Pure.

Another autoscaler or a person may change them. That is reported, and not fought: their number stands for a while.
"""

from dataclasses import dataclass
from typing import Final

from millrace_operator.model.decision import ScaleOutcome

OUR_NAME: Final = "millrace-operator"
"""The field manager of our writes."""
WATCH_LIMIT_SECONDS: Final = 3.0
"""Until then a Deployment that does not show our write is a watch that is late."""
TRUCE_SECONDS: Final = 30.0
LONGEST_TRUCE_SECONDS: Final = 600.0
_HPA: Final = "kube-controller-manager"


@dataclass(slots=True)
class ReplicaWrites:
    """Of one pool."""

    _written: int | None = None
    """What we wrote last, once the Deployment showed it; None before."""
    _pending: int | None = None
    """What we wrote and the Deployment has not shown yet."""
    _pending_since: float = 0.0
    _truce_until: float = 0.0
    _truce_seconds: float = 0.0

    def note(self, outcome: ScaleOutcome, *, now: float) -> None:
        """Remember a write."""
        if outcome.is_changed:
            self._pending, self._pending_since, self._written = outcome.current, now, None

    def asked(self, seen: int, *, now: float) -> int:
        """Tell what is asked of the Deployment, given what the watch shows of it."""
        if self._pending is None or now - self._pending_since > WATCH_LIMIT_SECONDS:
            return seen
        return self._pending

    def look(self, seen: int, *, manager: str, now: float) -> str:
        """Say that somebody else changed replicas that we had written, or nothing; the truce begins here."""
        if self._pending is not None:
            if seen != self._pending and now - self._pending_since <= WATCH_LIMIT_SECONDS:
                return ""
            self._written, self._pending = self._pending, None
        before = self._written
        if before is None or seen == before:
            return ""
        self._written = seen
        if manager == OUR_NAME:
            return ""  # A write of ours whose answer was lost.
        self._truce_seconds = min(LONGEST_TRUCE_SECONDS, 2 * self._truce_seconds) or TRUCE_SECONDS
        if now - self._truce_until > LONGEST_TRUCE_SECONDS:
            self._truce_seconds = TRUCE_SECONDS
        self._truce_until = now + self._truce_seconds
        return (
            f"Replicas were changed from {before} to {seen} by {_who(manager)}. They are left alone for "
            f"{self._truce_seconds:.0f} s, then they follow the queue again: remove the other autoscaler of the "
            "Deployment, or set spec.mode to Paused to size it by hand."
        )

    def has_truce(self, now: float) -> bool:
        """Tell whether the replicas are another's for now."""
        return now < self._truce_until


def _who(manager: str) -> str:
    if not manager:
        return "somebody else"
    return f"{manager} (a HorizontalPodAutoscaler or KEDA)" if manager == _HPA else manager
