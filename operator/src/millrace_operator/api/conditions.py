"""Build the list `status.conditions` of any of our resources.

Conditions are what programs and `kubectl wait` read, so the rules of the Kubernetes API hold here once for all
kinds: `lastTransitionTime` moves only when `status` does, each type stands once, and the order never changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from millrace_operator.api.timestamps import to_rfc3339

ConditionStatus = Literal["True", "False", "Unknown"]

MESSAGE_LIMIT: Final = 2048
"""`maxLength` of a message in the resource definitions; a longer one would make the whole status write fail."""

REASON_LIMIT: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is to be said about one aspect of an object."""

    type: str
    status: ConditionStatus
    reason: str
    """CamelCase, for programs."""
    message: str
    """A sentence, for people."""


def merge_conditions(
    previous: Sequence[Mapping[str, Any]], current: Iterable[Condition], *, generation: int, now: float
) -> list[dict[str, Any]]:
    """Put `current` into the list of conditions; those that it does not speak of stay as they are."""
    merged: dict[str, dict[str, Any]] = {str(condition.get("type")): dict(condition) for condition in previous}
    for condition in current:
        before = merged.get(condition.type, {})
        unchanged = before.get("status") == condition.status and "lastTransitionTime" in before
        merged[condition.type] = {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason[:REASON_LIMIT],
            "message": shorten(condition.message, MESSAGE_LIMIT),
            "lastTransitionTime": before["lastTransitionTime"] if unchanged else to_rfc3339(now),
            "observedGeneration": generation,
        }
    return list(merged.values())


def find_condition(conditions: Iterable[Mapping[str, Any]], condition_type: str) -> Mapping[str, Any] | None:
    """Find the condition of a type; None means that nobody has said anything yet."""
    return next((condition for condition in conditions if condition.get("type") == condition_type), None)


def verdicts(conditions: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str, str], ...]:
    """Reduce conditions to what must be reported at once: type, status and reason, without messages and times."""
    return tuple((str(c.get("type")), str(c.get("status")), str(c.get("reason"))) for c in conditions)


def shorten(text: str, limit: int) -> str:
    """Cut a text to `limit` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
