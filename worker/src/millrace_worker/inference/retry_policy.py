"""What an answer of Triton means for a batch, and how long to wait before the next try. Pure.

The one law: what Triton could not take up at all (unreachable, overloaded, stopping) never spends a record's retries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from millrace_contracts.tasks import Backoff, RetryAction, RetryRule


class Verdict(StrEnum):
    """What to do with a batch that came back with an error."""

    WAIT = "wait"
    """Back off and send it again; nothing is spent."""
    TOO_SLOW = "too-slow"
    """As WAIT, with smaller batches: the request's time was over before the answer."""
    REJECTED = "rejected"
    """Bisect; a record that stands alone is at fault."""
    FAILED = "failed"
    """Bisect; a record that stands alone is tried again a few times."""
    MISSING = "missing"
    """Look whether Triton has the model at all."""
    INCOMPATIBLE = "incompatible"
    """No request of ours can be answered by this model."""


_VERDICTS: Final[Mapping[str, Verdict]] = {
    "UNAVAILABLE": Verdict.WAIT,
    "RESOURCE_EXHAUSTED": Verdict.WAIT,
    "ABORTED": Verdict.WAIT,
    "CANCELLED": Verdict.WAIT,
    # A proxy or mesh that refuses us says so; that is for whoever runs it, not the fault of a record.
    "UNAUTHENTICATED": Verdict.WAIT,
    "PERMISSION_DENIED": Verdict.WAIT,
    "DEADLINE_EXCEEDED": Verdict.TOO_SLOW,
    "INVALID_ARGUMENT": Verdict.REJECTED,
    "OUT_OF_RANGE": Verdict.REJECTED,
    "NOT_FOUND": Verdict.MISSING,
    "UNIMPLEMENTED": Verdict.INCOMPATIBLE,
}


def status_name(status: str | None) -> str:
    """Answer the name of a gRPC status; empty where there is none."""
    return (status or "").removeprefix("StatusCode.")


def judge(status: str | None, message: str) -> Verdict:
    """Judge an error by its gRPC status; what is not known (INTERNAL, UNKNOWN, none) is a failure of the model."""
    name = status_name(status)
    if name == "UNAVAILABLE" and "unknown model" in message.lower():
        # Triton says so of a model without a loaded version.
        return Verdict.MISSING
    if name == "UNIMPLEMENTED" and "http2 header" in message.lower():
        # gRPC's word for a 404 of something in between: a proxy, a mesh or a Service that has no route to Triton yet.
        return Verdict.WAIT
    return _VERDICTS.get(name, Verdict.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a shard waits for Triton."""

    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 5.0
    patience_seconds: float = 20.0
    """How long a shard waits without one answer before it goes back to the queue and frees its slot."""


def pause_seconds(attempt: int, pace: Pace, *, jitter: float) -> float:
    """Answer the pause after try number `attempt`: doubling, spread by `jitter` (0 to 1) so that tries do not meet."""
    ceiling = min(pace.longest_pause_seconds, pace.first_pause_seconds * 2.0 ** min(attempt, 30))
    return ceiling * (0.5 + 0.5 * jitter)


def rule_for(rules: Sequence[RetryRule], *, status: str, message: str) -> RetryRule | None:
    """Answer the first rule that matches an error of the model; an empty condition matches any."""
    for rule in rules:
        if (not rule.on_codes or status in rule.on_codes) and rule.on_message_contains in message:
            return rule
    return None


def action_for(rules: Sequence[RetryRule], *, status: str, message: str, is_rejected: bool) -> RetryAction:
    """Say what to do with a record that stands alone and failed so."""
    rule = rule_for(rules, status=status, message=message)
    if rule is not None:
        return rule.action
    return RetryAction.FAIL_RECORD if is_rejected else RetryAction.RETRY


def backoff_seconds(attempt: int, backoff: Backoff, *, jitter: float, longest: float) -> float:
    """Answer the pause before retry number `attempt` (from 0) of one record; `jitter` is 0 to 1.

    `longest` bounds it further: all tries of a record must fit into the time limit of its task.
    """
    grown = backoff.initial_delay_seconds * (backoff.multiplier_percent / 100) ** min(attempt, 100)
    ceiling = min(grown, backoff.max_delay_seconds, longest)
    return ceiling * jitter if backoff.jitter == "Full" else ceiling


def redelivery_seconds(retries: int, *, jitter: float) -> int:
    """Answer after how many seconds (1 to 30) a task that was given back comes again, spread by `jitter` (0 to 1)."""
    ceiling = min(30.0, 2.0 ** min(retries + 1, 5))
    return max(1, round(ceiling * (0.5 + 0.5 * jitter)))
